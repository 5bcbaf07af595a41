//! A model of anything that also gives a gradient.

mod affine;
mod lengths;
mod written;

pub use lengths::FreeLength;
pub use written::{GradientModel, GradientOptions, gradient_model};
