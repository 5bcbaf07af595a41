//! Average DCC, one number from three: Poppi et al., *Revisiting the Evaluation of Class Activation Mapping
//! for Explainability*, CVPR Workshops 2021, <https://arxiv.org/abs/2104.10252>, section 3.

use super::{Trial, pearson};
use crate::error::Result;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adcc {
    /// How like the map is to the map of what it shows: Pearson's correlation, brought to 0..=1 as in the
    /// authors' code.
    pub coherency: f32,
    /// The map's mean, 0..=1; less is better.
    pub complexity: f32,
    /// 0..=1; less is better.
    pub drop: f32,
}

impl Adcc {
    /// The harmonic mean of the three, each turned so that more is better.
    pub fn value(&self) -> f32 {
        let parts = [self.coherency, 1.0 - self.complexity, 1.0 - self.drop];
        3.0 / parts.iter().map(|part| 1.0 / part.max(f32::MIN_POSITIVE)).sum::<f32>()
    }
}

/// `drop` is of [`average_drop`](super::average_drop()) for the same trial.
///
/// # Errors
/// The runtime fails.
pub fn adcc(trial: &mut Trial, drop: f32) -> Result<Adcc> {
    let masked = trial.masked();
    let again = (trial.explain)(masked.view())?;
    let correlation = pearson(trial.map.iter().copied(), again.iter().copied());
    Ok(Adcc { coherency: f32::midpoint(correlation, 1.0), complexity: trial.map.mean().unwrap_or(0.0), drop })
}
