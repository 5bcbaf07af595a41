//! The classes that a segmenter gives the cells of one picture.

use ndarray::{Array2, Array3, ArrayD, ArrayView3, Axis, Ix3, Zip};

use super::runner::ModelOutputs;
use crate::cam::ScoreValue;
use crate::error::{Error, Result};
use crate::grad::{LOGITS, Probability, Segmentation};

/// The logits of one picture, and the class of each cell.
pub struct Pixels {
    /// `[K,h,w]`
    logits: Array3<f32>,
    probability: Probability,
    /// The class with the largest logit, that logit, and the second largest.
    best: Array2<(usize, f32, f32)>,
}

/// A softmax over many classes at every pixel would cost more than the model.
const MOST_PROBABILITIES: usize = 1 << 14;

impl Pixels {
    /// # Errors
    /// The run gave no logits of the segmenter's form.
    pub fn of_outputs(segmentation: &Segmentation, outputs: &ModelOutputs) -> Result<Self> {
        let logits = outputs.floats(LOGITS)?;
        let Segmentation { classes, height, width, probability, .. } = *segmentation;
        if logits.ndim() != 4 || logits.shape()[1..] != [classes, height, width] {
            let problem = format!("a run gave {:?}, not [N,{classes},{height},{width}]", logits.shape());
            return Err(Error::model(LOGITS, problem));
        }
        let logits = logits.index_axis_move(Axis(0), 0).into_dimensionality::<Ix3>();
        Ok(Self::new(logits.map_err(|e| Error::model(LOGITS, e))?, probability))
    }

    /// From logits `[K,h,w]`.
    pub fn new(logits: ArrayView3<f32>, probability: Probability) -> Self {
        let (_, height, width) = logits.dim();
        let mut best = Array2::from_elem((height, width), (0, f32::NEG_INFINITY, f32::NEG_INFINITY));
        for (class, logits) in logits.outer_iter().enumerate() {
            Zip::from(&mut best).and(logits).for_each(|(of, first, second), &logit| {
                if logit > *first {
                    (*of, *second, *first) = (class, *first, logit);
                } else {
                    *second = second.max(logit);
                }
            });
        }
        Self { logits: logits.to_owned(), probability, best }
    }

    pub fn classes(&self) -> usize {
        self.logits.len_of(Axis(0))
    }

    /// By how much the logit of a class is above that of every other one: above 0 where a cell is predicted as it.
    pub fn margin(&self, class: usize) -> Array2<f32> {
        let logits = self.logits.index_axis(Axis(0), class);
        if self.probability == Probability::Sigmoid {
            return logits.to_owned();
        }
        Zip::from(&self.best).and(logits).map_collect(|(of, first, second), &logit| {
            // Of equal logits the first counts.
            if *of == class && *first > f32::NEG_INFINITY {
                (first - second).max(f32::MIN_POSITIVE)
            } else {
                logit - first
            }
        })
    }

    /// The classes of a few pixels, the commonest first. `counted` says which cells count.
    pub fn ranking(&self, counted: impl Fn((usize, usize)) -> bool) -> Vec<usize> {
        let mut counts: Vec<(usize, usize)> = (0..self.classes()).map(|class| (class, 0)).collect();
        for (cell, (class, ..)) in self.best.indexed_iter().filter(|(cell, _)| counted(*cell)) {
            match self.probability {
                Probability::Sigmoid => {
                    let above = |class: &usize| self.logits[[*class, cell.0, cell.1]] > 0.0;
                    (0..self.classes()).filter(above).for_each(|class| counts[class].1 += 1);
                }
                _ => counts[*class].1 += 1,
            }
        }
        counts.retain(|(_, count)| *count > 0);
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts.into_iter().map(|(class, _)| class).collect()
    }

    /// The gradient `[1,K,h,w]` of the sum of a class's logit over cells: 1 there, 0 elsewhere.
    pub fn seed(&self, class: usize, cells: &Array2<bool>) -> ArrayD<f32> {
        let mut seed = Array3::zeros(self.logits.dim());
        seed.index_axis_mut(Axis(0), class).assign(&cells.mapv(f32::from));
        seed.insert_axis(Axis(0)).into_dyn()
    }

    /// The sum of a class's logit over cells, and the mean of its probability, over at most [`MOST_PROBABILITIES`] of them,
    /// evenly spread.
    pub fn score(&self, class: usize, cells: &Array2<bool>) -> ScoreValue {
        let of_class = self.logits.index_axis(Axis(0), class);
        let counted = || cells.indexed_iter().filter(|(_, counts)| **counts).map(|(cell, _)| cell);
        let (logit, count) = counted().fold((0.0, 0_usize), |(sum, count), cell| (sum + of_class[cell], count + 1));
        let sampled = counted().step_by(count.div_ceil(MOST_PROBABILITIES).max(1));
        let (sum, sampled) =
            sampled.fold((0.0, 0), |(sum, count), cell| (sum + self.probability_of(class, cell), count + 1));
        ScoreValue { logit, probability: sum / sampled.max(1) as f32 }
    }

    fn probability_of(&self, class: usize, (row, column): (usize, usize)) -> f32 {
        let logits = self.logits.slice(ndarray::s![.., row, column]);
        if self.probability == Probability::Sigmoid {
            return 1.0 / (1.0 + (-logits[class]).exp());
        }
        let most = self.best[[row, column]].1;
        (logits[class] - most).exp() / logits.iter().map(|logit| (logit - most).exp()).sum::<f32>()
    }
}
