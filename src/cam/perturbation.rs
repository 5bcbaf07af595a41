//! Runs of a model on perturbed activations or inputs.

use std::ops::Range;

use ndarray::{Array3, Array4, ArrayView3, ArrayView4, ArrayViewMut3, Ix3, SliceInfo, SliceInfoElem, s};

use crate::error::Result;

/// The most versions of the activations in one run.
const BATCH: usize = 32;
/// The most values in one run. More do not stay in a processor's cache.
const VALUES: usize = 1 << 20;

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
    pub run: &'a mut dyn FnMut(ArrayView4<f32>) -> Result<Vec<ScoreValue>>,
}

/// Which activations a version changes: its channels, rows and columns.
pub type Part = [Range<usize>; 3];

/// What a version holds outside the part that it changes.
#[derive(Clone, Copy)]
pub enum Elsewhere {
    Activations,
    Zeros,
}

impl PerturbedLayer<'_> {
    /// The scores of `count` versions of the activations. `part` gets the index of a version; `change` its index too, and the
    /// part, which holds the same as the rest until it is changed.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn scores(
        &mut self,
        count: usize,
        elsewhere: Elsewhere,
        part: impl Fn(usize) -> Part,
        change: impl Fn(usize, ArrayViewMut3<f32>),
    ) -> Result<Vec<ScoreValue>> {
        let unchanged = match elsewhere {
            Elsewhere::Activations => self.activations.as_standard_layout(),
            Elsewhere::Zeros => Array3::zeros(self.activations.dim()).into(),
        };
        let (c, h, w) = unchanged.dim();
        let size = (VALUES / (c * h * w).max(1)).clamp(1, BATCH).min(count.max(1));
        let mut batch = Array4::zeros((size, c, h, w));
        batch += &unchanged;
        let mut scores = Vec::with_capacity(count);
        for start in (0..count).step_by(size) {
            let versions = start..count.min(start + size);
            for (index, mut version) in versions.clone().zip(batch.outer_iter_mut()) {
                change(index, version.slice_mut(slice(part(index))));
            }
            scores.extend((self.run)(batch.slice(s![..versions.len(), .., .., ..]))?);
            for (index, mut version) in versions.zip(batch.outer_iter_mut()) {
                let changed = slice(part(index));
                version.slice_mut(changed).assign(&unchanged.slice(changed));
            }
        }
        Ok(scores)
    }
}

fn slice([channels, rows, columns]: Part) -> SliceInfo<[SliceInfoElem; 3], Ix3, Ix3> {
    s![channels, rows, columns]
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
