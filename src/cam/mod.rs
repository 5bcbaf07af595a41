//! Class activation maps: one method a file, from one run's activations and gradients.

mod grad_cam;
mod hires_cam;
mod layer_cam;

use ndarray::{Array2, ArrayView3};

use crate::error::{Error, Result};

/// A method: activations `[C,h,w]` and the class's gradients by them `[C,h,w]` to a map `[h,w]`,
/// not negative and not normalised.
pub type Method = fn(ArrayView3<f32>, ArrayView3<f32>) -> Array2<f32>;

/// Every method, by the name that `--method` takes. The first is the default.
pub const METHODS: &[(&str, Method)] =
    &[("grad-cam", grad_cam::grad_cam), ("hires-cam", hires_cam::hires_cam), ("layer-cam", layer_cam::layer_cam)];

/// # Errors
/// There is no method of that name.
pub fn find(name: &str) -> Result<(&'static str, Method)> {
    METHODS.iter().find(|(known, _)| *known == name).copied().ok_or_else(|| {
        let known: Vec<&str> = METHODS.iter().map(|(name, _)| *name).collect();
        Error::Unknown { what: "method", name: name.to_owned(), known: format!("there are {}", known.join(", ")) }
    })
}

/// A map `[h,w]` after rectification, before upscaling, not normalised.
#[derive(Clone, Debug)]
pub struct CamMap {
    pub values: Array2<f32>,
    pub min: f32,
    pub max: f32,
    /// Whether anything speaks for the class: the map is finite and somewhere above zero.
    pub evidence: bool,
}

impl CamMap {
    /// Takes the values as they are; a map with a value that is no number becomes one without
    /// evidence, all zero.
    pub fn new(mut values: Array2<f32>) -> Self {
        let finite = values.iter().all(|v| v.is_finite());
        if !finite {
            values.fill(0.0);
        }
        let min = values.iter().copied().fold(f32::INFINITY, f32::min);
        let max = values.iter().copied().fold(0.0, f32::max);
        Self { values, min, max, evidence: finite && max > 0.0 }
    }
}
