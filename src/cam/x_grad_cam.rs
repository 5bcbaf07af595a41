//! XGrad-CAM. Fu et al., *Axiom-based Grad-CAM: Towards Accurate Visualization and Explanation of
//! CNNs*, BMVC 2020, <https://arxiv.org/abs/2008.02312>, equation 10.

use ndarray::{Array2, ArrayView3};

use super::class_map::weighted_sum;

/// `L = ReLU(Σ_k w_k A^k)`, where `w_k` is the mean of `∂y/∂A^k` weighted by `A^k`; 0 if the activations sum to 0.
/// `[C,h,w]` to `[h,w]`.
pub fn x_grad_cam(activations: ArrayView3<f32>, gradients: ArrayView3<f32>) -> Array2<f32> {
    let channels = activations.outer_iter().zip(gradients.outer_iter());
    let weights = channels.map(|(activation, gradient)| {
        let sum = activation.sum();
        if sum == 0.0 { 0.0 } else { (&activation * &gradient).sum() / sum }
    });
    weighted_sum(activations, weights)
}
