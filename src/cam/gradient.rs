//! The gradient with respect to the input. Simonyan, Vedaldi and Zisserman, *Deep Inside Convolutional Networks*,
//! 2013, <https://arxiv.org/abs/1312.6034>, section 3.1.

use ndarray::{Array2, ArrayView3, Axis};

/// `L = max_c |∂y/∂x_c|`, the maximum over the colour channels. `[C,H,W]` to `[H,W]`.
pub fn gradient(_: ArrayView3<f32>, gradients: ArrayView3<f32>) -> Array2<f32> {
    // What is no number stays so.
    let larger = |largest: f32, g: f32| if g <= largest || largest.is_nan() { largest } else { g };
    gradients.fold_axis(Axis(0), 0.0, |largest: &f32, g| larger(*largest, g.abs()))
}
