//! ADCC (average drop, coherency and complexity): Poppi et al., *Revisiting the Evaluation of Class Activation Mapping
//! for Explainability*, CVPR Workshops 2021, <https://arxiv.org/abs/2104.10252>, section 3.

use serde::{Deserialize, Serialize};

use super::statistics::pearson;
use super::trial::Trial;
use crate::error::Result;

/// The three measures that ADCC combines.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adcc {
    /// The similarity of the map and the map of the masked picture: Pearson's correlation scaled to 0..=1, as in the
    /// authors' code.
    pub coherency: f32,
    /// The mean of the map, 0..=1; less is better.
    pub complexity: f32,
    /// The drop of the score, 0..=1; less is better.
    pub drop: f32,
}

impl Adcc {
    /// The harmonic mean of coherency, 1 - complexity and 1 - drop; more is better.
    pub fn value(&self) -> f32 {
        let parts = [self.coherency, 1.0 - self.complexity, 1.0 - self.drop];
        3.0 / parts.iter().map(|part| 1.0 / part.max(f32::MIN_POSITIVE)).sum::<f32>()
    }
}

/// `drop` is the result of [`average_drop`](super::average_drop()) for the same trial.
///
/// # Errors
/// The runtime fails.
pub fn adcc(trial: &mut Trial, drop: f32) -> Result<Adcc> {
    let masked = trial.masked();
    let map_of_masked = (trial.explain)(masked.view())?;
    let correlation = pearson(trial.map.iter().copied(), map_of_masked.iter().copied());
    Ok(Adcc { coherency: f32::midpoint(correlation, 1.0), complexity: trial.map.mean().unwrap_or(0.0), drop })
}
