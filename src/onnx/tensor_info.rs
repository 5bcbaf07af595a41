//! The shape and data type of each tensor of a model.

use std::collections::HashMap;

use super::DataType;

/// The properties of a tensor for one input size.
#[derive(Clone, Debug)]
pub struct TensorInfo {
    /// The length of each axis.
    pub shape: Vec<usize>,
    /// The data type; `None` for one that [`DataType`] lacks.
    pub kind: Option<DataType>,
    /// The values of a short integer or boolean tensor. They are meaningless for a tensor that depends on the picture.
    pub integers: Option<Vec<i64>>,
}

/// The properties of every tensor of a model, by tensor name.
pub type Tensors = HashMap<String, TensorInfo>;
