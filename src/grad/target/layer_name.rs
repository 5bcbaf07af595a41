//! How a caller names a layer.

use std::fmt;

/// A layer by its name, or counted from the output.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayerName {
    /// A tensor or node, or a part of its name that no other candidate has.
    Named(String),
    /// The nth candidate from the output, 1 for the last.
    FromEnd(usize),
}

impl LayerName {
    /// Parses names separated by commas; a negative number counts from the output.
    pub fn parse_list(text: &str) -> Vec<Self> {
        text.split(',').map(Self::from).collect()
    }
}

impl From<&str> for LayerName {
    fn from(text: &str) -> Self {
        let text = text.trim();
        match text.parse::<i64>() {
            Ok(number) if number < 0 => Self::FromEnd(usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX)),
            _ => Self::Named(text.to_owned()),
        }
    }
}

impl fmt::Display for LayerName {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::FromEnd(number) => write!(f, "-{number}"),
        }
    }
}
