//! The class of a detector that stands for "no object".

use serde::{Deserialize, Serialize};

/// Which class of a softmax stands for "no object".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Background {
    First,
    Last,
}

impl Background {
    pub const NAMES: &[&str] = &["first", "last"];

    pub fn named(name: &str) -> Option<Self> {
        [Self::First, Self::Last].into_iter().find(|background| background.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Last => "last",
        }
    }

    /// Its index among the `columns` of the scores.
    pub fn entry(self, columns: usize) -> usize {
        match self {
            Self::First => 0,
            Self::Last => columns.saturating_sub(1),
        }
    }

    /// Whether the first or the last label is one of no object; `None` if neither is, or both.
    pub(super) fn of_labels(labels: &[String]) -> Option<Self> {
        match labels {
            [first, .., last] if is_background(first) != is_background(last) => {
                Some(if is_background(first) { Self::First } else { Self::Last })
            }
            _ => None,
        }
    }
}

/// Whether a label means "no object".
pub fn is_background(label: &str) -> bool {
    const NAMES: &[&str] =
        &["background", "__background__", "bg", "unlabeled", "void", "no-object", "no object", "N/A"];
    NAMES.iter().any(|name| label.eq_ignore_ascii_case(name))
}
