//! What the classes got in one run of the model.

use ndarray::{Array1, ArrayView1};

use crate::cam::ClassScore;
use crate::grad::Probability;

/// What all classes got in one run.
pub struct Scores {
    pub logits: Array1<f32>,
    pub probabilities: Array1<f32>,
    /// The classes, likeliest first.
    pub ranking: Vec<usize>,
}

impl Scores {
    pub fn of(logits: ArrayView1<f32>, probability: Probability) -> Self {
        let mut ranking: Vec<usize> = (0..logits.len()).collect();
        ranking.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
        Self { logits: logits.to_owned(), probabilities: to_probabilities(logits, probability), ranking }
    }

    /// The class that an entry of `class_index` stands for.
    pub fn index_of(&self, class: i64) -> usize {
        usize::try_from(class).unwrap_or_else(|_| self.ranking[(-1 - class) as usize])
    }

    pub fn of_class(&self, class: usize) -> ClassScore {
        ClassScore { logit: self.logits[class], probability: self.probabilities[class] }
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
    }
}
