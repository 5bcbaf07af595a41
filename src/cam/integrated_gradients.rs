//! Integrated gradients. Sundararajan, Taly and Yan, *Axiomatic Attribution for Deep Networks*, ICML
//! 2017, <https://arxiv.org/abs/1703.01365>, equations 1 and 3.

use ndarray::{Array2, Array3, Axis};

use super::perturbation::PerturbedInput;
use crate::error::Result;

/// `L = ReLU(Σ_c x_c ∫ ∂y/∂x_c(t x) dt)` from a baseline of zeros, by the midpoints of 32 steps. `[C,H,W]` to `[H,W]`.
///
/// A zero is black, or the mean colour if preprocessing subtracts a mean.
pub fn integrated_gradients(perturbed: &mut PerturbedInput) -> Result<Array2<f32>> {
    const STEPS: usize = 32;
    let input = perturbed.input.to_owned();
    let mut sum = Array3::zeros(input.dim());
    for step in 0..STEPS {
        let share = (step as f32 + 0.5) / STEPS as f32;
        sum += &(perturbed.run)(&input * share)?.gradients;
    }
    let attribution = sum * &input / STEPS as f32;
    Ok(attribution.sum_axis(Axis(0)))
}
