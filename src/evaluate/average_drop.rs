//! Average drop and increase in confidence: Chattopadhay et al., *Grad-CAM++: Generalized Gradient-based
//! Visual Explanations for Deep Convolutional Networks*, WACV 2018, <https://arxiv.org/abs/1710.11063>,
//! section 4.1.

use super::Trial;
use crate::error::Result;

/// What became of the class when only what its map shows was left of the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// `max(0, Y - O) / Y`, 0..=1; less is better.
    pub drop: f32,
    /// Whether the class became likelier. A share over all pictures; more is better.
    pub increased: bool,
}

/// # Errors
/// The runtime fails.
pub fn average_drop(trial: &mut Trial) -> Result<Change> {
    let masked = trial.masked();
    let left = (trial.classify)(masked.view())?;
    Ok(Change {
        drop: (trial.score - left).max(0.0) / trial.score.max(f32::MIN_POSITIVE),
        increased: left > trial.score,
    })
}
