//! What a model's graph does not tell of its outputs.

use super::background::Background;
use super::box_order::BoxOrder;
use super::score_row::Probability;

/// How a model's outputs are read, where its graph does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct OutputReading {
    /// How logits become scores.
    pub scores: Option<Probability>,
    /// Which class of a detector's softmax stands for "no object".
    pub background: Option<Background>,
    /// What the four numbers of a detector's box are.
    pub box_order: Option<BoxOrder>,
}

impl OutputReading {
    /// This, and where it says nothing what `other` says.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            scores: self.scores.or(other.scores),
            background: self.background.or(other.background),
            box_order: self.box_order.or(other.box_order),
        }
    }
}
