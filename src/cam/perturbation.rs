//! Runs of a model on perturbed activations or inputs.

use ndarray::{Array3, Array4, ArrayView3, ArrayViewMut3, Axis};

use crate::error::Result;

/// The score of the explained class in one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreValue {
    pub logit: f32,
    /// 0..=1.
    pub probability: f32,
}

/// The part of a model after its target layer, at the activations of one picture.
pub struct PerturbedLayer<'a> {
    /// `[C,h,w]`.
    pub activations: ArrayView3<'a, f32>,
    /// The score of the unperturbed picture.
    pub score: ScoreValue,
    /// Runs the layers after the target on activations `[N,C,h,w]`; N scores.
    pub run: &'a mut dyn FnMut(Array4<f32>) -> Result<Vec<ScoreValue>>,
}

impl PerturbedLayer<'_> {
    /// The scores of `count` versions of the activations. `change` gets the index of a version, the activations, and an
    /// array of zeros that it fills.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn scores(
        &mut self,
        count: usize,
        change: impl Fn(usize, ArrayView3<f32>, ArrayViewMut3<f32>),
    ) -> Result<Vec<ScoreValue>> {
        /// The most versions in one run.
        const BATCH: usize = 32;
        /// The most values in one run: the layers after a fine layer need several times their memory.
        const VALUES: usize = 1 << 22;
        let (c, h, w) = self.activations.dim();
        let batch_size = (VALUES / (c * h * w).max(1)).clamp(1, BATCH);
        let mut scores = Vec::with_capacity(count);
        for start in (0..count).step_by(batch_size) {
            let mut batch = Array4::zeros((batch_size.min(count - start), c, h, w));
            for (offset, version) in batch.axis_iter_mut(Axis(0)).enumerate() {
                change(start + offset, self.activations, version);
            }
            scores.extend((self.run)(batch)?);
        }
        Ok(scores)
    }
}

/// A model at one picture and at perturbed copies of it.
pub struct PerturbedInput<'a> {
    /// The model's input `[C,H,W]`, preprocessed.
    pub input: ArrayView3<'a, f32>,
    /// `[C,h,w]` of the unperturbed input.
    pub activations: ArrayView3<'a, f32>,
    /// Runs the model on another input.
    pub run: &'a mut dyn FnMut(Array3<f32>) -> Result<PerturbedRun>,
}

/// The results of one run of the whole model.
pub struct PerturbedRun {
    /// `[C,h,w]`.
    pub activations: Array3<f32>,
    /// `[C,h,w]`; empty if the method does not use them.
    pub gradients: Array3<f32>,
    pub score: ScoreValue,
}
