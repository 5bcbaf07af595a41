//! HiResCAM. Draelos and Carin, *Use HiResCAM instead of Grad-CAM for faithful explanations of
//! convolutional neural networks*, 2020, <https://arxiv.org/abs/2011.08891>, equation 4.

use ndarray::{Array2, ArrayView3};

use super::class_map::sum_over_channels;

/// `L = ReLU(Σ_k ∂y/∂A^k ⊙ A^k)`. Each cell has its own gradient, which matters if the layers after the target treat
/// cells differently (a flattened map). `[C,h,w]` to `[h,w]`.
pub fn hires_cam(activations: ArrayView3<f32>, gradients: ArrayView3<f32>) -> Array2<f32> {
    sum_over_channels(activations, gradients, |activation, gradient| activation * gradient)
}
