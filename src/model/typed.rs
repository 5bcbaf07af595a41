//! Step 2: the shape and type of every tensor.

use super::inputs::image_input;
use super::load::LoadedModel;
use super::manifest::{InputSpec, Layout, Manifest};
use crate::error::{Error, Result};
use crate::grad::{self, Detection};
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
    if loaded.contract.is_none() {
        let Manifest { output, task, labels, .. } = &loaded.manifest;
        let of_three_classes = task.as_deref() == Some("segment") || labels.len() == 3;
        grad::check_stated_shapes(&loaded.model, output.as_deref(), of_three_classes)?;
        grad::reserve_names(&mut loaded.model);
    }
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
    let sides = if loaded.manifest.input.layout == Layout::ChannelsLast { 1..3 } else { 2..4 };
    let sides_are_free = stated.get(sides).is_some_and(|sides| sides.contains(&None));
    let (open, untouched) = (loaded.size_open, loaded.size_open.then(|| loaded.clone()));
    let tensors = match (probe(&mut loaded, &input), untouched) {
        // The runtime took the model, and failed at this size.
        (Err(Error::Model { .. }), Some(untouched)) if open => {
            loaded = untouched;
            probe_other_sizes(&mut loaded, &input)?
        }
        (Err(Error::Model { model, problem, source }), _) if sides_are_free => {
            let InputSpec { width, height, .. } = loaded.manifest.input;
            let problem = format!("with pictures of {width}x{height}, {problem}; --input-size chooses another size");
            return Err(Error::Model { model, problem, source });
        }
        (probed, _) => probed?,
    };
    Ok(TypedModel { loaded, input, tensors })
}

fn probe(loaded: &mut LoadedModel, input: &str) -> Result<Tensors> {
    let batch = image_input(&loaded.model)?.batch();
    let mut shape = loaded.manifest.input.shape();
    shape[0] = batch;
    let mut inputs = vec![(input, shape)];
    match &loaded.contract {
        Some(contract) if contract.detection.is_some() => inputs.push((Detection::INDEX, vec![batch, 1])),
        Some(_) => inputs.push((grad::CLASS_INDEX, vec![batch])),
        None => {}
    }
    let tensors = session::probe(&mut loaded.model, &inputs)?;
    // A reshape to [-1,K] takes more rows instead of refusing another size.
    let mut outputs = loaded.model.graph().output.iter().filter_map(|output| tensors.get(output.name()));
    if loaded.size_open && outputs.any(|output| output.shape.len() > 1 && output.shape[0] != batch) {
        let InputSpec { width, height, .. } = loaded.manifest.input;
        let problem = format!("at {width}x{height}, its outputs are not those of {batch} pictures");
        return Err(loaded.model.error(format!("{problem}; --input-size chooses another size")));
    }
    Ok(tensors)
}

/// Tries the sides that classifiers usually have, and takes the first at which the model runs.
///
/// # Errors
/// It runs at none of them.
fn probe_other_sizes(loaded: &mut LoadedModel, input: &str) -> Result<Tensors> {
    const SIDES: [usize; 22] =
        [32, 256, 299, 128, 96, 112, 64, 160, 192, 240, 260, 288, 300, 320, 331, 380, 384, 448, 512, 28, 48, 227];
    let InputSpec { width, height, .. } = loaded.manifest.input;
    for side in SIDES {
        let mut tried = loaded.clone();
        (tried.manifest.input.width, tried.manifest.input.height) = (side, side);
        if let Ok(tensors) = probe(&mut tried, input) {
            *loaded = tried;
            let found = format!("found by trying: it does not run at {width}x{height}");
            loaded.notices.push(format!("the size {side}x{side} was {found}; --input-size chooses"));
            return Ok(tensors);
        }
    }
    let problem =
        format!("it leaves the size of its input open, and runs neither at {width}x{height} nor at usual sizes");
    Err(loaded.model.error(format!("{problem}; give its size with --input-size")))
}
