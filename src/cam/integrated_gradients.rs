//! Integrated gradients. Sundararajan, Taly and Yan, *Axiomatic Attribution for Deep Networks*, ICML
//! 2017, <https://arxiv.org/abs/1703.01365>, equations 1 and 3.

use ndarray::{Array2, Axis};

use super::Whole;
use crate::error::Result;

/// `L = ReLU(Σ_c x_c ∫ ∂y/∂x_c(t x) dt)` from the input of all zeros, in the middles of 32 steps.
/// `[C,H,W]` to `[H,W]`. Zero is black, or where a mean is taken off the mean colour.
pub fn integrated_gradients(whole: &mut Whole) -> Result<Array2<f32>> {
    const STEPS: usize = 32;
    let input = whole.input.to_owned();
    let mut sum = ndarray::Array3::zeros(input.dim());
    for step in 0..STEPS {
        let share = (step as f32 + 0.5) / STEPS as f32;
        sum += &(whole.run)(&input * share)?.gradients;
    }
    let attribution = sum * &input / STEPS as f32;
    Ok(attribution.sum_axis(Axis(0)).mapv(|v| v.max(0.0)))
}
