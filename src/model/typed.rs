//! Step 2: the shape and type of every tensor.

use super::load::{LoadedModel, image_input};
use crate::error::Result;
use crate::grad::{self, Task};
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

/// Runs a model once on zeros, and notes what every tensor is. If nothing states the size of the input, and the model
/// does not run at the usual one, others are tried.
///
/// # Errors
/// The runtime rejects the model, or its input has another shape than the manifest states.
pub fn type_tensors(mut loaded: LoadedModel) -> Result<TypedModel> {
    let info = image_input(&loaded.model)?;
    let input = info.name().to_owned();
    let shape = loaded.manifest.input.shape();
    let stated = info.dims().unwrap_or_default();
    let fits = stated.len() == shape.len()
        && stated[1..].iter().zip(&shape[1..]).all(|(a, b)| a.is_none_or(|a| a == *b as i64));
    if !fits && !stated.is_empty() {
        let stated = info.dims_text();
        let asked = "its manifest or an option says";
        return Err(loaded.model.error(format!("its input is [{stated}], but {asked} {shape:?}")));
    }
    let batch = info.batch();
    if loaded.contract.is_none() {
        Task::check_stated_shapes(&loaded.model, loaded.manifest.output.as_deref())?;
        grad::reserve_names(&mut loaded.model);
    }
    let mut tensors = probe(&mut loaded, &input, batch);
    if tensors.is_err() && loaded.size_open {
        tensors = probe_other_sizes(&mut loaded, &input, batch).map_or(tensors, Ok);
    }
    Ok(TypedModel { tensors: tensors?, loaded, input })
}

fn probe(loaded: &mut LoadedModel, input: &str, batch: usize) -> Result<Tensors> {
    let mut shape = loaded.manifest.input.shape();
    shape[0] = batch;
    let mut inputs = vec![(input, shape)];
    if loaded.contract.is_some() {
        inputs.push((grad::CLASS_INDEX, vec![batch]));
    }
    let tensors = session::probe(&mut loaded.model, &inputs)?;
    // A reshape to [-1,K] takes more rows instead of refusing another size.
    let mut outputs = loaded.model.graph().output.iter().filter_map(|output| tensors.get(output.name()));
    if loaded.size_open && outputs.any(|output| output.shape.len() > 1 && output.shape[0] != batch) {
        let size = &loaded.manifest.input;
        let problem = format!("at {}x{}, its outputs are not those of {batch} pictures", size.width, size.height);
        return Err(loaded.model.error(format!("{problem}; --input-size chooses another size")));
    }
    Ok(tensors)
}

/// Tries the sides that classifiers usually have, and keeps the first at which the model runs.
fn probe_other_sizes(loaded: &mut LoadedModel, input: &str, batch: usize) -> Option<Tensors> {
    const SIDES: [usize; 22] =
        [32, 256, 299, 128, 96, 112, 64, 160, 192, 240, 260, 288, 300, 320, 331, 380, 384, 448, 512, 28, 48, 227];
    let before = loaded.manifest.input.clone();
    for side in SIDES {
        (loaded.manifest.input.width, loaded.manifest.input.height) = (side, side);
        if let Ok(tensors) = probe(loaded, input, batch) {
            let found = format!("found by trying: it does not run at {}x{}", before.width, before.height);
            loaded.notices.push(format!("the size {side}x{side} was {found}; --input-size chooses"));
            return Some(tensors);
        }
    }
    loaded.manifest.input = before;
    None
}
