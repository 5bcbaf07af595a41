//! The method that explains a model best.

use super::report::Measured;

/// A map that is this alike to that of random weights, as Spearman's correlation, hardly depends on the model.
pub const LIKE_RANDOM: f32 = 0.5;
/// Methods whose values are closer than this count as equal.
pub const CLOSE: f32 = 0.005;

impl Measured {
    /// The mean of insertion, 1 - deletion and, where it was measured, the energy in the right tile; more is better.
    pub fn value(&self) -> f32 {
        let measures = self.faithfulness;
        let parts = [Some(measures.insertion), Some(1.0 - measures.deletion), measures.grid_pointing];
        let parts: Vec<f32> = parts.into_iter().flatten().collect();
        parts.iter().sum::<f32>() / parts.len() as f32
    }

    /// Whether its maps pass the sanity check (Adebayo et al., *Sanity Checks for Saliency Maps*, `NeurIPS` 2018).
    pub fn depends_on_weights(&self) -> bool {
        let last = self.sanity.as_ref().and_then(|sanity| sanity.similarity.last());
        last.is_none_or(|similarity| *similarity < LIKE_RANDOM)
    }
}

/// The method with the largest [`Measured::value`] of those that pass the sanity check; of several that are as good, the
/// first.
pub fn choose(methods: &[Measured]) -> Option<&Measured> {
    let passing = || methods.iter().filter(|measured| measured.depends_on_weights() && measured.value().is_finite());
    let best = passing().map(Measured::value).max_by(f32::total_cmp)?;
    passing().find(|measured| measured.value() > best - CLOSE)
}
