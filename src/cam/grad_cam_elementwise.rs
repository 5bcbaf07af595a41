//! Element-wise Grad-CAM: pytorch-grad-cam's `GradCAMElementWise`, from Pillai and Pirsiavash,
//! *Explainable Models with Consistent Interpretations*, AAAI 2021.

use ndarray::{Array2, ArrayView3};

use super::class_map::{relu, sum_over_channels};

/// `L = Σ_k ReLU(∂y/∂A^k ⊙ A^k)`. `[C,h,w]` to `[h,w]`.
pub fn grad_cam_elementwise(activations: ArrayView3<f32>, gradients: ArrayView3<f32>) -> Array2<f32> {
    sum_over_channels(activations, gradients, |activation, gradient| relu(activation * gradient))
}
