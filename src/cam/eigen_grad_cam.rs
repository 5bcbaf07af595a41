//! Eigen-Grad-CAM: pytorch-grad-cam's `EigenGradCAM`, the idea of Eigen-CAM on activations times
//! gradients, <https://github.com/jacobgil/pytorch-grad-cam>.

use ndarray::{Array2, ArrayView3};

use super::eigen_cam::principal_map;

/// `L = ReLU(X V₁)`, `X = A ⊙ ∂y/∂A` as a matrix of places by channels with the mean over the places taken
/// off, `V₁` its first right singular vector. `[C,h,w]` to `[h,w]`.
///
/// The sign is the one with which the map goes along with `Σ_k X^k`, the evidence; pytorch-grad-cam
/// leaves it to LAPACK.
pub fn eigen_grad_cam(activations: ArrayView3<f32>, gradients: ArrayView3<f32>) -> Array2<f32> {
    principal_map((&activations * &gradients).view(), true)
}
