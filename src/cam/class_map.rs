//! The map of one class at one layer.

use ndarray::{Array2, ArrayView3};

/// `Σ_k w_k A^k`, `[C,h,w]` to `[h,w]`.
pub fn weighted_sum(activations: ArrayView3<f32>, weights: impl IntoIterator<Item = f32>) -> Array2<f32> {
    let (_, h, w) = activations.dim();
    let mut map = Array2::zeros((h, w));
    for (activation, weight) in activations.outer_iter().zip(weights) {
        map.scaled_add(weight, &activation);
    }
    map
}

/// `ReLU` of a map: what speaks against the score counts as zero.
pub fn rectified(mut map: Array2<f32>) -> Array2<f32> {
    map.mapv_inplace(|v: f32| v.max(0.0));
    map
}

/// A map `[h,w]`, neither enlarged nor normalised. That of a value may be negative where the value is pulled down; all others
/// are rectified.
#[derive(Clone, Debug)]
pub struct CamMap {
    pub values: Array2<f32>,
    /// The smallest value.
    pub min: f32,
    /// The largest value, at least 0.
    pub max: f32,
    /// Whether the map has evidence: all values are finite, and one is not zero.
    pub evidence: bool,
    /// Whether negative values speak against the score.
    pub signed: bool,
}

impl CamMap {
    /// A map of these values. If a value is not finite, the map is all zero and without evidence.
    pub fn new(mut values: Array2<f32>) -> Self {
        let finite = values.iter().all(|v| v.is_finite());
        if !finite {
            values.fill(0.0);
        }
        let min = values.iter().copied().fold(f32::INFINITY, f32::min);
        let max = values.iter().copied().fold(0.0, f32::max);
        Self { values, min, max, evidence: finite && (max > 0.0 || min < 0.0), signed: false }
    }

    /// As [`CamMap::new`], with negative values that speak against the score.
    pub fn signed(values: Array2<f32>) -> Self {
        Self { signed: true, ..Self::new(values) }
    }

    /// A map of the same kind.
    #[must_use]
    pub fn with_values(&self, values: Array2<f32>) -> Self {
        Self { signed: self.signed, ..Self::new(values) }
    }

    /// The largest value, whatever its sign.
    pub fn strength(&self) -> f32 {
        self.max.max(-self.min)
    }

    /// What speaks for a signed map's score, and what against it, as two maps; `None` for another map.
    pub fn sides(&self) -> Option<[Self; 2]> {
        self.signed.then(|| [1.0, -1.0].map(|sign| Self::new(rectified(&self.values * sign))))
    }
}
