//! Element-wise Grad-CAM: pytorch-grad-cam's `GradCAMElementWise`, from Pillai and Pirsiavash,
//! *Explainable Models with Consistent Interpretations*, AAAI 2021.

use ndarray::{Array2, ArrayView3, Zip};

use super::class_map::relu;

/// `L = Σ_k ReLU(∂y/∂A^k ⊙ A^k)`. `[C,h,w]` to `[h,w]`.
pub fn grad_cam_elementwise(activations: ArrayView3<f32>, gradients: ArrayView3<f32>) -> Array2<f32> {
    let (_, h, w) = activations.dim();
    let mut map = Array2::zeros((h, w));
    for (activation, gradient) in activations.outer_iter().zip(gradients.outer_iter()) {
        Zip::from(&mut map).and(activation).and(gradient).for_each(|sum: &mut f32, a, g| *sum += relu(a * g));
    }
    map
}
