//! Score-CAM. Wang et al., *Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural
//! Networks*, CVPR Workshops 2020, <https://arxiv.org/abs/1910.01279>, algorithm 1.

use ndarray::Array2;

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
    for activation in perturbed.activations.outer_iter() {
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
