//! Average drop and increase in confidence: Chattopadhay et al., *Grad-CAM++: Generalized Gradient-based
//! Visual Explanations for Deep Convolutional Networks*, WACV 2018, <https://arxiv.org/abs/1710.11063>,
//! section 4.1.

use serde::{Deserialize, Serialize};

use super::trial::Trial;
use crate::error::Result;

/// The change of the score when only the masked picture remains.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// `max(0, Y - O) / Y`, 0..=1; less is better.
    pub drop: f32,
    /// Whether the score increased. The measure is the share of such pictures; more is better.
    pub increased: bool,
}

/// Compares the score of the masked picture with that of the whole picture.
///
/// # Errors
/// The runtime fails.
pub fn average_drop(trial: &mut Trial) -> Result<Change> {
    let masked = trial.masked();
    let score = (trial.classify)(masked.view())?;
    Ok(Change {
        drop: (trial.score - score).max(0.0) / trial.score.max(f32::MIN_POSITIVE),
        increased: score > trial.score,
    })
}
