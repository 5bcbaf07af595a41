//! Shapley-CAM. Cai, *CAMs as Shapley Value-based Explainers*, The Visual Computer 2025,
//! <https://arxiv.org/abs/2501.06261>, algorithm 1.

use ndarray::{Array2, ArrayView2, ArrayView3};

use super::class_map::weighted_sum;

/// `L = ReLU(Σ_k w_k A^k)`, where `w_k` is the mean of `(g - ½ H A)^k` over the map: the gradient `g`, corrected by the
/// Hessian `H` of the score with respect to all activations. `hessian_product` is `H A`. `[C,h,w]` to `[h,w]`.
pub fn shapley_cam(
    activations: ArrayView3<f32>,
    gradients: ArrayView3<f32>,
    hessian_product: ArrayView3<f32>,
) -> Array2<f32> {
    let channels = gradients.outer_iter().zip(hessian_product.outer_iter());
    let mean = |map: ArrayView2<f32>| map.mean().unwrap_or(0.0);
    weighted_sum(activations, channels.map(|(gradient, product)| mean(gradient) - 0.5 * mean(product)))
}
