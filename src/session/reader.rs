//! Reading one tensor of a model, run after run.

use ndarray::ArrayD;
use ort::session::builder::GraphOptimizationLevel;

use super::device::Compute;
use super::model_session::{Input, Session};
use crate::error::Result;
use crate::onnx::proto::{Attribute, Node};
use crate::onnx::{DataType, OnnxModel, keep_outputs};

/// The tensor as float32.
const READ: &str = "whycam.read";

/// A model in the runtime that gives one of its tensors.
pub struct TensorReader(Session);

impl TensorReader {
    /// # Errors
    /// The runtime rejects the model.
    pub fn new(model: &OnnxModel, tensor: &str, compute: Compute) -> Result<Self> {
        Ok(Self(Session::new(&giving(model, tensor), compute)?))
    }

    /// As [`TensorReader::new`], without optimising the graph, for few runs.
    ///
    /// # Errors
    /// The runtime rejects the model.
    pub fn quick(model: &OnnxModel, tensor: &str) -> Result<Self> {
        let model = giving(model, tensor);
        Ok(Self(Session::load(&model, Compute::default(), GraphOptimizationLevel::Disable, None)?))
    }

    /// The tensor's value in a run on these inputs.
    ///
    /// # Errors
    /// The runtime fails, or the tensor holds no numbers.
    pub fn read(&mut self, inputs: Vec<(&str, Input)>) -> Result<ArrayD<f32>> {
        Ok(self.0.run(inputs)?.floats(READ)?.to_owned())
    }
}

/// The part of a model that makes a tensor, with the tensor as its only output [`READ`].
fn giving(model: &OnnxModel, tensor: &str) -> OnnxModel {
    let mut model = model.clone();
    let cast = Node::new("Cast", READ, &[tensor], &[READ]);
    model.graph_mut().node.push(cast.with(Attribute::from_int("to", DataType::Float as i64)));
    model.add_output(READ);
    keep_outputs(&model, |output| output == READ)
}
