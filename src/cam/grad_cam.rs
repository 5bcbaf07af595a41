//! Grad-CAM. Selvaraju et al., *Grad-CAM: Visual Explanations from Deep Networks via
//! Gradient-based Localization*, ICCV 2017, <https://arxiv.org/abs/1610.02391>, equations 1 and 2.

use ndarray::{Array2, ArrayView3};

use super::class_map::weighted_sum;

/// `L = ReLU(Σ_k α_k A^k)`, where `α_k` is the mean of `∂y/∂A^k` over the map. `[C,h,w]` to `[h,w]`.
pub fn grad_cam(activations: ArrayView3<f32>, gradients: ArrayView3<f32>) -> Array2<f32> {
    weighted_sum(activations, gradients.outer_iter().map(|gradient| gradient.mean().unwrap_or(0.0)))
}
