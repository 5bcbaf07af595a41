//! LayerCAM. Jiang et al., *LayerCAM: Exploring Hierarchical Class Activation Maps for Localization*,
//! IEEE TIP 2021, <https://doi.org/10.1109/TIP.2021.3089943>, equations 6 and 7.

use ndarray::{Array2, ArrayView3};

use super::class_map::{rectified, relu, sum_over_channels};

/// `L = ReLU(Σ_k ReLU(∂y/∂A^k) ⊙ A^k)`. Only positive gradients count, each for its own cell, which keeps the maps of
/// early layers clean. `[C,h,w]` to `[h,w]`.
pub fn layer_cam(activations: ArrayView3<f32>, gradients: ArrayView3<f32>) -> Array2<f32> {
    rectified(sum_over_channels(activations, gradients, |activation, gradient| activation * relu(gradient)))
}
