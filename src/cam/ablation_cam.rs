//! Ablation-CAM. Desai and Ramaswamy, *Ablation-CAM: Visual Explanations for Deep Convolutional Network
//! via Gradient-free Localization*, WACV 2020, equations 3 and 4.

use ndarray::{Array2, Axis};

use super::class_map::weighted_sum;
use super::perturbation::{Elsewhere, PerturbedLayer};
use crate::error::Result;

/// `L = ReLU(Σ_k w_k A^k)`, `w_k = (y - y_k) / |y|`, where `y_k` is the class's logit without channel `k`. `[C,h,w]`
/// to `[h,w]`.
///
/// The paper divides by `y`; the absolute value keeps the sign of the map if the logit is negative, and where it is 0,
/// nothing is divided. pytorch-grad-cam sets a channel to a value far below all others instead of zero, unless its
/// activation is zero.
pub fn ablation_cam(layer: &mut PerturbedLayer) -> Result<Array2<f32>> {
    // Removing a channel that is zero everywhere, of which a ReLU leaves many, changes nothing.
    let active = |channel: &usize| layer.activations.index_axis(Axis(0), *channel).iter().any(|value| *value != 0.0);
    let channels: Vec<usize> = (0..layer.activations.dim().0).filter(active).collect();
    let (_, h, w) = layer.activations.dim();
    let part = |number: usize| [channels[number]..channels[number] + 1, 0..h, 0..w];
    let scores = layer.scores(channels.len(), Elsewhere::Activations, part, |_, mut channel| channel.fill(0.0))?;
    let intact = layer.score.logit;
    let scale = if intact == 0.0 { 1.0 } else { intact.abs() };
    let mut weights = vec![0.0; layer.activations.dim().0];
    for (channel, score) in channels.into_iter().zip(scores) {
        weights[channel] = (intact - score.logit) / scale;
    }
    Ok(weighted_sum(layer.activations, weights))
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayView4, array};

    use super::*;
    use crate::cam::ScoreValue;

    #[test]
    fn channels_of_zeros_are_not_run() {
        let activations = array![[[1.0, 2.0]], [[0.0, 0.0]], [[4.0, 0.0]]];
        let mut versions = 0;
        // Its logit is the sum of the first channel and twice the third.
        let mut run = |batch: ArrayView4<f32>| {
            versions += batch.dim().0;
            let logit =
                |of: ndarray::ArrayView3<f32>| of.index_axis(Axis(0), 0).sum() + 2.0 * of.index_axis(Axis(0), 2).sum();
            Ok(batch.outer_iter().map(|of| ScoreValue { logit: logit(of), probability: 0.5 }).collect())
        };
        let score = ScoreValue { logit: 11.0, probability: 0.5 };
        let map = ablation_cam(&mut PerturbedLayer { activations: activations.view(), score, run: &mut run });
        // The weights are 3 / 11 and 8 / 11.
        assert!(
            map.is_ok_and(|map| (map[[0, 0]] - 35.0 / 11.0).abs() < 1e-6 && (map[[0, 1]] - 6.0 / 11.0).abs() < 1e-6)
        );
        assert_eq!(versions, 2);
    }
}
