//! Recipro-CAM. Byun and Lee, *Recipro-CAM: Fast Gradient-free Visual Explanations for Convolutional
//! Neural Networks*, 2022, <https://arxiv.org/abs/2209.14074>, equations 2 to 4.

use ndarray::{Array2, s};

use super::perturbation::PerturbedLayer;
use crate::error::Result;

/// The paper's 3x3 Gaussian mask.
const MASK: [[f32; 3]; 3] =
    [[1.0 / 16.0, 1.0 / 8.0, 1.0 / 16.0], [1.0 / 8.0, 1.0 / 4.0, 1.0 / 8.0], [1.0 / 16.0, 1.0 / 8.0, 1.0 / 16.0]];

/// `L_ij`: the class's probability if only the activations around cell `ij` remain, under a Gaussian mask, minus the
/// minimum over all cells. `[C,h,w]` to `[h,w]`.
pub fn recipro_cam(layer: &mut PerturbedLayer) -> Result<Array2<f32>> {
    let (_, h, w) = layer.activations.dim();
    let scores = layer.scores(h * w, |cell, activations, mut version| {
        let (row, column) = (cell / w, cell % w);
        for (dy, masks) in MASK.iter().enumerate() {
            for (dx, mask) in masks.iter().enumerate() {
                let (Some(y), Some(x)) = ((row + dy).checked_sub(1), (column + dx).checked_sub(1)) else { continue };
                if y < h && x < w {
                    version.slice_mut(s![.., y, x]).scaled_add(*mask, &activations.slice(s![.., y, x]));
                }
            }
        }
    })?;
    let least = scores.iter().map(|score| score.probability).fold(f32::INFINITY, f32::min);
    Ok(Array2::from_shape_fn((h, w), |(y, x)| scores[y * w + x].probability - least))
}
