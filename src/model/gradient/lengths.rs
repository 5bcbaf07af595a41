//! The lengths that a model leaves free.

use std::fmt;

use crate::error::Result;
use crate::files::limits;
use crate::onnx::OnnxModel;

/// Lengths to try free axes with: different, so that no two axes agree by chance.
const TRIED: [usize; 6] = [2, 3, 5, 7, 11, 13];

/// A length that a model leaves free.
#[derive(Clone, Debug)]
pub struct FreeLength {
    /// Its name in the file, or that of its input and axis.
    pub name: String,
    /// The inputs and axes that have it.
    pub places: Vec<(String, usize)>,
    /// The length that the model was tried with.
    pub tried: usize,
    /// Whether it was chosen, rather than given.
    pub chosen: bool,
    /// Whether the written model takes any length, rather than the one that was tried.
    pub stays_free: bool,
}

impl fmt::Display for FreeLength {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}={}", self.name, self.tried)
    }
}

/// The free lengths of a model's inputs, each with a length to try.
///
/// # Errors
/// An input has no shape and none is given, or a given one contradicts the file.
pub fn free_lengths(model: &OnnxModel, shapes: &[(String, Vec<usize>)]) -> Result<Vec<FreeLength>> {
    let mut lengths: Vec<FreeLength> = Vec::new();
    for input in model.graph().true_inputs() {
        let given = shapes.iter().find(|(name, _)| name == input.name()).map(|(_, shape)| shape);
        let Some(names) = input.dim_names() else {
            if given.is_some() {
                continue;
            }
            let name = input.name();
            return Err(model.error(format!("the input {name} has no shape; --shape {name}=… says it")));
        };
        if let Some(given) = given.filter(|given| given.len() != names.len()) {
            let text = input.dims_text();
            return Err(model.error(format!("the input {} is [{text}], not {given:?}", input.name())));
        }
        for (axis, name) in names.into_iter().enumerate() {
            let Some(name) = name else { continue };
            let of_axis = format!("{}[{axis}]", input.name());
            let name = if name.is_empty() { of_axis.clone() } else { name };
            let place = (input.name().to_owned(), axis);
            // Some exporters give all axes one name: lengths that are given apart are apart.
            let given = given.map(|given| given[axis]);
            let agrees = |length: &FreeLength| length.chosen || given.is_none_or(|given| given == length.tried);
            let namesake = lengths.iter().any(|length| length.name == name && !agrees(length));
            let name = if namesake { of_axis } else { name };
            let known = lengths.iter().position(|length| length.name == name);
            let index = known.unwrap_or_else(|| {
                let tried = TRIED[lengths.len() % TRIED.len()];
                lengths.push(FreeLength { name, places: Vec::new(), tried, chosen: true, stays_free: false });
                lengths.len() - 1
            });
            let length = &mut lengths[index];
            length.places.push(place);
            if let Some(given) = given {
                (length.tried, length.chosen) = (given, false);
            }
        }
    }
    Ok(lengths)
}

/// The shape of each input at these values of its free lengths.
///
/// # Errors
/// An input has no shape, and none is given.
pub fn at(
    model: &OnnxModel,
    shapes: &[(String, Vec<usize>)],
    lengths: &[FreeLength],
    values: &[usize],
) -> Result<Vec<(String, Vec<usize>)>> {
    let mut all = Vec::new();
    for input in model.graph().true_inputs() {
        let name = input.name();
        let given = shapes.iter().find(|(known, _)| known == name).map(|(_, shape)| shape.clone());
        let stated = input.dims().map(|dims| dims.into_iter().map(|d| d.map_or(1, |d| d as usize)).collect());
        // One of the two is there, or there would be no lengths.
        let mut shape: Vec<usize> =
            given.or(stated).ok_or_else(|| model.error(format!("the input {name} has no shape")))?;
        for (length, value) in lengths.iter().zip(values) {
            for (_, axis) in length.places.iter().filter(|(input, _)| input == name) {
                shape[*axis] = *value;
            }
        }
        if !limits::fits(&shape) {
            return Err(
                model.error(format!("the input {name} would be {shape:?}, which is too large; --shape says less"))
            );
        }
        all.push((name.to_owned(), shape));
    }
    Ok(all)
}
