//! Eigen-Grad-CAM: pytorch-grad-cam's `EigenGradCAM`, Eigen-CAM on activations times gradients,
//! <https://github.com/jacobgil/pytorch-grad-cam>.

use ndarray::{Array2, ArrayView3};

use super::eigen_cam::principal_map;

/// `L = ReLU(X V₁)`, where `X = A ⊙ ∂y/∂A` is a matrix of cells by channels minus the mean over the cells, and `V₁` its
/// first right singular vector. `[C,h,w]` to `[h,w]`.
///
/// The sign is chosen so that the map correlates with `Σ_k X^k`, the evidence; pytorch-grad-cam takes LAPACK's sign.
pub fn eigen_grad_cam(activations: ArrayView3<f32>, gradients: ArrayView3<f32>) -> Array2<f32> {
    principal_map((&activations * &gradients).view(), true)
}
