//! The scores of all classes in one run.

use ndarray::{Array1, ArrayView1};

use crate::cam::ScoreValue;
use crate::grad::Probability;

/// The scores of all classes in one run.
#[derive(Clone, Debug)]
pub struct Scores {
    pub logits: Array1<f32>,
    /// 0..=1; cosines and quantities as they are.
    pub probabilities: Array1<f32>,
    /// The classes, likeliest first.
    pub ranking: Vec<usize>,
}

impl Scores {
    /// From logits `[K]`.
    pub fn new(logits: ArrayView1<f32>, probability: Probability) -> Self {
        let mut ranking: Vec<usize> = (0..logits.len()).collect();
        ranking.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
        Self { logits: logits.to_owned(), probabilities: to_probabilities(logits, probability), ranking }
    }

    pub fn of_class(&self, class: usize) -> ScoreValue {
        ScoreValue { logit: self.logits[class], probability: self.probabilities[class] }
    }
}

fn to_probabilities(logits: ArrayView1<f32>, kind: Probability) -> Array1<f32> {
    match kind {
        Probability::Softmax => {
            let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let powers = logits.mapv(|v| (v - max).exp());
            let sum = powers.sum();
            powers / sum
        }
        Probability::Sigmoid => logits.mapv(|v| 1.0 / (1.0 + (-v).exp())),
        // Cosines and quantities stand for themselves.
        Probability::Given | Probability::Cosine | Probability::Value => logits.to_owned(),
    }
}
