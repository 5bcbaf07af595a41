//! The scores of the classes of all anchors.

use super::find::Reader;
use crate::grad::task::Probability;
use crate::grad::value::Value;

/// The scores `[N,A,K]` of the classes of all anchors.
pub struct Classes<'w> {
    pub logits: Value<'w>,
    pub scores: Value<'w>,
    pub probability: Probability,
    pub background: Option<usize>,
    pub notice: Option<String>,
}

impl<'w> Reader<'w, '_> {
    /// The scores of classes. Softmaxes leave one entry for the background: the last of queries, else the first.
    pub fn classes(
        &self,
        logits: Value<'w>,
        (given, ending): (Value<'w>, Option<Probability>),
        columns: usize,
        queries: bool,
    ) -> Classes<'w> {
        let (mut notice, mut probability) = (None, ending);
        if ending.is_none() {
            // The families that sample maps at learnt points score each class for itself.
            let softmax = queries && !self.samples_grids() && columns > 1;
            let guess = if softmax { Probability::Softmax } else { Probability::Sigmoid };
            probability = self.hints.probability.or(Some(guess));
            if queries && self.hints.probability.is_none() {
                let because = if softmax { "it has no deformable attention" } else { "it has deformable attention" };
                notice = Some(format!(
                    "scores are a {} of the logits, guessed since {because}; --scores chooses",
                    guess.name()
                ));
            }
        }
        let probability = probability.unwrap_or(Probability::Sigmoid);
        let scores = match (ending, probability) {
            (Some(_), _) => given,
            (None, Probability::Softmax) => logits.softmax(-1),
            (None, _) => logits.sigmoid(),
        };
        let background = (probability == Probability::Softmax).then_some(if queries { columns - 1 } else { 0 });
        Classes { logits, scores, probability, background, notice }
    }
}
