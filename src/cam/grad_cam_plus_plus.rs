//! Grad-CAM++. Chattopadhay et al., *Grad-CAM++: Generalized Gradient-based Visual Explanations for
//! Deep Convolutional Networks*, WACV 2018, <https://arxiv.org/abs/1710.11063>, equations 5 and 19.

use ndarray::{Array2, ArrayView2, ArrayView3};

use super::class_map::{relu, weighted_sum};

/// `L = ReLU(Σ_k w_k A^k)`, `w_k = Σ α^k ReLU(g^k)`, `α^k = (g^k)² / (2 (g^k)² + (g^k)³ Σ A^k)` with
/// `g = ∂y/∂A`, where `g` is not 0. The paper differentiates `exp(y)`, which only scales the map. `[C,h,w]` to `[h,w]`.
///
/// pytorch-grad-cam adds 1e-6 to the denominator, which distorts the map where gradients are small. torchcam uses
/// `Σ ((g^k)³ A^k)` instead of `(g^k)³ Σ A^k`.
pub fn grad_cam_plus_plus(activations: ArrayView3<f32>, gradients: ArrayView3<f32>) -> Array2<f32> {
    let channels = activations.outer_iter().zip(gradients.outer_iter());
    weighted_sum(activations, channels.map(|(activation, gradient)| weight(activation, gradient)))
}

fn weight(activation: ArrayView2<f32>, gradient: ArrayView2<f32>) -> f32 {
    let sum = activation.sum();
    // α g, without powers that a float32 cannot hold.
    gradient.iter().map(|&g| relu(g)).map(|g| g / (2.0 + g * sum)).sum()
}
