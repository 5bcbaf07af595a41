//! Ablation-CAM. Desai and Ramaswamy, *Ablation-CAM: Visual Explanations for Deep Convolutional Network
//! via Gradient-free Localization*, WACV 2020, equations 3 and 4.

use ndarray::{Array2, Axis};

use super::{Behind, weighted_sum};
use crate::error::Result;

/// `L = ReLU(Σ_k w_k A^k)`, `w_k = (y - y_k) / y`, `y_k` the class's logit without channel `k`. `[C,h,w]` to
/// `[h,w]`.
///
/// Divided by the size of `y`, so that a negative logit does not turn the map round. pytorch-grad-cam
/// does not set a channel to zero but far below all others where an activation is not zero.
pub fn ablation_cam(behind: &mut Behind) -> Result<Array2<f32>> {
    let (channels, _, _) = behind.activations.dim();
    let scores = behind.scores(channels, |channel, activations, mut version| {
        version.assign(&activations);
        version.index_axis_mut(Axis(0), channel).fill(0.0);
    })?;
    let whole = behind.score.logit;
    let weights = scores.iter().map(|score| (whole - score.logit) / whole.abs().max(f32::MIN_POSITIVE));
    Ok(weighted_sum(behind.activations, weights))
}
