//! A ranking, as a person reads it.

/// One line of a ranking, to be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct RankedLabel {
    pub label: String,
    /// The length of its bar, 0..=1.
    pub share: f32,
    /// Its number.
    pub text: String,
    /// Whether it is the one that the map explains.
    pub explained: bool,
}

/// A share 0..=1 as text.
pub fn percent(share: f32) -> String {
    format!("{:.0} %", 100.0 * share)
}
