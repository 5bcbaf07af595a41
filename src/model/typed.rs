//! Step 2: the shape and type of every tensor.

use super::load::{LoadedModel, image_input};
use crate::error::Result;
use crate::grad;
use crate::onnx::Tensors;
use crate::session;

/// A model with the shape and type of every tensor.
#[derive(Clone)]
pub struct TypedModel {
    pub loaded: LoadedModel,
    /// The name of the input that takes the picture.
    pub input: String,
    pub tensors: Tensors,
}

/// Runs a model once on zeros, and notes what every tensor is.
///
/// # Errors
/// The runtime rejects the model, or its input has another shape than the manifest states.
pub fn type_tensors(loaded: LoadedModel) -> Result<TypedModel> {
    let LoadedModel { mut model, manifest, guess, contract } = loaded;
    let info = image_input(&model)?;
    let input = info.name().to_owned();
    let mut shape = manifest.input.shape();
    let stated = info.dims().unwrap_or_default();
    let fits = stated.len() == shape.len()
        && stated[1..].iter().zip(&shape[1..]).all(|(a, b)| a.is_none_or(|a| a == *b as i64));
    if !fits && !stated.is_empty() {
        let stated = info.dims_text();
        return Err(model.error(format!("its input is [{stated}], but its manifest says {shape:?}")));
    }
    shape[0] = info.batch();
    let mut inputs = vec![(input.as_str(), shape.clone())];
    if contract.is_some() {
        inputs.push((grad::CLASS_INDEX, vec![shape[0]]));
    } else {
        grad::reserve_names(&mut model);
    }
    let tensors = session::probe(&mut model, &inputs)?;
    Ok(TypedModel { loaded: LoadedModel { model, manifest, guess, contract }, input, tensors })
}
