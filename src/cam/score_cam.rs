//! Score-CAM. Wang et al., *Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural
//! Networks*, CVPR Workshops 2020, <https://arxiv.org/abs/1910.01279>, algorithm 1.

use ndarray::{Array2, Array3};

use super::class_map::weighted_sum;
use super::enlarge::enlarged;
use super::perturbation::PerturbedInput;
use crate::error::Result;

/// `L = ReLU(Σ_k w_k A^k)`, where `w` is the softmax over the channels of the class's logit for the input masked by
/// `A^k`, enlarged and scaled to 0..1. `[C,h,w]` to `[h,w]`.
///
/// The mask is interpolated between the centres of its cells, as in torchcam; pytorch-grad-cam aligns the corners.
pub fn score_cam(perturbed: &mut PerturbedInput) -> Result<Array2<f32>> {
    let (_, height, width) = perturbed.input.dim();
    let mut scores = Vec::with_capacity(perturbed.activations.dim().0);
    let mut of_blank = None;
    for activation in perturbed.activations.outer_iter() {
        // A constant channel, of which a ReLU leaves many, has an empty mask.
        if !activation.is_empty() && activation.iter().all(|value| Some(value) == activation.first()) {
            scores.push(match of_blank {
                Some(known) => known,
                None => *of_blank.insert((perturbed.run)(Array3::zeros(perturbed.input.dim()))?.score.logit),
            });
            continue;
        }
        let mut mask = enlarged(activation, height, width)?;
        let (low, high) =
            mask.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
        mask.mapv_inplace(|v| (v - low) / (high - low + 1e-8));
        scores.push((perturbed.run)(&perturbed.input * &mask)?.score.logit);
    }
    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = scores.iter().map(|score| (score - highest).exp()).collect();
    let sum: f32 = powers.iter().sum();
    Ok(weighted_sum(perturbed.activations, powers.iter().map(|power| power / sum)))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::cam::{PerturbedRun, ScoreValue};

    #[test]
    fn channels_that_are_the_same_everywhere_share_a_run() {
        let activations = array![[[0.0, 2.0], [1.0, 0.0]], [[0.0; 2]; 2], [[0.3; 2]; 2], [[1.0, 0.0], [0.0, 3.0]]];
        let mut runs = 0;
        // Its logit is what is left of the input.
        let mut run = |input: Array3<f32>| {
            runs += 1;
            let score = ScoreValue { logit: input.sum(), probability: 0.5 };
            Ok(PerturbedRun { activations: activations.clone(), gradients: activations.clone(), score })
        };
        let input = Array3::ones((1, 2, 2));
        let map =
            score_cam(&mut PerturbedInput { input: input.view(), activations: activations.view(), run: &mut run });
        // The masks leave 1.5, 0, 0 and 1 + 1/3.
        let powers = [1.5_f32, 0.0, 0.0, 4.0 / 3.0].map(f32::exp);
        let share = |channel: usize| powers[channel] / powers.iter().sum::<f32>();
        let corner = 3.0 * share(3) + 0.3 * share(2);
        assert!(map.is_ok_and(|map| (map[[1, 1]] - corner).abs() < 1e-6));
        assert_eq!(runs, 3);
    }
}
