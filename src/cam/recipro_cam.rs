//! Recipro-CAM. Byun and Lee, *Recipro-CAM: Fast Gradient-free Visual Explanations for Convolutional
//! Neural Networks*, 2022, <https://arxiv.org/abs/2209.14074>, equations 2 to 4.

use ndarray::{Array2, s};

use super::perturbation::{Elsewhere, PerturbedLayer};
use crate::error::Result;

/// The paper's 3x3 Gaussian mask.
const MASK: [[f32; 3]; 3] =
    [[1.0 / 16.0, 1.0 / 8.0, 1.0 / 16.0], [1.0 / 8.0, 1.0 / 4.0, 1.0 / 8.0], [1.0 / 16.0, 1.0 / 8.0, 1.0 / 16.0]];

/// `L_ij`: the class's probability if only the activations around cell `ij` remain, under a Gaussian mask, minus the
/// minimum over all cells. `[C,h,w]` to `[h,w]`.
pub fn recipro_cam(layer: &mut PerturbedLayer) -> Result<Array2<f32>> {
    let activations = layer.activations;
    let (c, h, w) = activations.dim();
    let around = |cell: usize| {
        let (row, column) = (cell / w, cell % w);
        [0..c, row.saturating_sub(1)..h.min(row + 2), column.saturating_sub(1)..w.min(column + 2)]
    };
    let scores = layer.scores(h * w, Elsewhere::Zeros, around, |cell, mut part| {
        let [_, rows, columns] = around(cell);
        part.assign(&activations.slice(s![.., rows.clone(), columns.clone()]));
        let mask = |(y, x): (usize, usize)| MASK[rows.start + y + 1 - cell / w][columns.start + x + 1 - cell % w];
        part *= &Array2::from_shape_fn((rows.len(), columns.len()), mask);
    })?;
    let least = scores.iter().map(|score| score.probability).fold(f32::INFINITY, f32::min);
    Ok(Array2::from_shape_fn((h, w), |(y, x)| scores[y * w + x].probability - least))
}
