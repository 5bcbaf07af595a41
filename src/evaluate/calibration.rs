//! Calibration, whether probabilities match accuracy: Guo et al., *On Calibration of Modern Neural Networks*,
//! ICML 2017, <https://arxiv.org/abs/1706.04599>, equation 3.

/// The predictions whose probability lies in one of several equal intervals of 0..=1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    pub count: usize,
    /// The mean probability of the predicted class, 0..=1.
    pub confidence: f32,
    /// The share of right predictions, 0..=1.
    pub accuracy: f32,
}

/// Sorts predictions, each with its probability and whether it is right, into `bins` bins.
pub fn reliability(predictions: &[(f32, bool)], bins: usize) -> Vec<Bin> {
    let mut sorted = vec![Bin::default(); bins];
    for &(probability, right) in predictions {
        let bin = &mut sorted[((probability * bins as f32).ceil() as usize).clamp(1, bins) - 1];
        bin.count += 1;
        bin.confidence += probability;
        bin.accuracy += f32::from(right);
    }
    for bin in sorted.iter_mut().filter(|bin| bin.count > 0) {
        bin.confidence /= bin.count as f32;
        bin.accuracy /= bin.count as f32;
    }
    sorted
}

/// The expected calibration error, 0..=1: the mean difference of probability and accuracy over the bins, weighted by
/// their number of predictions.
pub fn calibration_error(bins: &[Bin]) -> f32 {
    let all: usize = bins.iter().map(|bin| bin.count).sum();
    let errors = bins.iter().map(|bin| bin.count as f32 * (bin.accuracy - bin.confidence).abs());
    errors.sum::<f32>() / all.max(1) as f32
}
