//! What one run of a model says, as its task reads it.

use ndarray::{Array2, ArrayD, ArrayView1};

use super::candidates::EntryScores;
use super::pixels::Pixels;
use super::prediction::{ClassMap, ClassPrediction, Familiarity, Prediction, Ranked, ValuePrediction};
use super::runner::ModelOutputs;
use super::scores::Scores;
use crate::cam::{CamMap, ScoreValue};
use crate::error::{Error, Result};
use crate::grad::{Probability, ScoreRow, Task};
use crate::model::{Known, Subject};

/// What a map explains.
#[derive(Clone, Copy, Debug)]
pub enum Explained<'a> {
    Class(usize),
    /// The sum over detections, each an entry of the flattened logits.
    Entries(&'a [i64]),
    /// The logits of a class over some cells `[h,w]`; `seed` is their gradient by all logits, `[1,K,h,w]`.
    Cells {
        class: usize,
        cells: &'a Array2<bool>,
        seed: &'a ArrayD<f32>,
    },
}

impl Explained<'_> {
    /// The value of the input `class_index`.
    pub fn class_index(self) -> i64 {
        match self {
            Self::Class(class) | Self::Cells { class, .. } => class as i64,
            Self::Entries(_) => -1,
        }
    }

    /// Whether there is nothing to explain, so that the map is zero.
    pub fn is_empty(self) -> bool {
        match self {
            Self::Class(_) => false,
            Self::Entries(entries) => entries.is_empty(),
            Self::Cells { cells, .. } => !cells.iter().any(|counts| *counts),
        }
    }
}

/// What one run of a model says: one variant a task.
pub enum Reading {
    Classes(Scores),
    Entries(EntryScores),
    Pixels(Pixels),
}

impl Reading {
    /// # Errors
    /// The run gave no output of the task's form.
    pub fn new(task: &Task, outputs: &ModelOutputs) -> Result<Self> {
        match task {
            Task::Classify(row) | Task::Embed(row) | Task::Value(row) => Ok(Self::Classes(class_scores(row, outputs)?)),
            Task::Detect(detection) => Ok(Self::Entries(EntryScores::of_outputs(detection, outputs)?)),
            Task::Segment(segmentation) => Ok(Self::Pixels(Pixels::of_outputs(segmentation, outputs)?)),
        }
    }

    /// From a row of the task's scores, as the remainder gives it.
    pub fn of_row(task: &Task, row: ArrayView1<f32>) -> Self {
        match task {
            Task::Classify(of) | Task::Embed(of) | Task::Value(of) => Self::Classes(Scores::new(row, of.probability)),
            Task::Detect(detection) => Self::Entries(EntryScores::new(detection, row)),
            Task::Segment(of) => {
                let logits = row.to_shape((of.classes, of.height, of.width)).map(|logits| logits.to_owned());
                Self::Pixels(Pixels::new(logits.unwrap_or_default().view(), of.probability))
            }
        }
    }

    /// The score of what is explained: of several detections the sum of the logits and the mean of the probabilities.
    pub fn score(&self, explained: Explained) -> ScoreValue {
        match (self, explained) {
            (Self::Classes(scores), Explained::Class(class)) => scores.of_class(class),
            (Self::Entries(scores), Explained::Entries(entries)) => scores.of_entries(entries),
            (Self::Pixels(pixels), Explained::Cells { class, cells, .. }) => pixels.score(class, cells),
            _ => ScoreValue { logit: 0.0, probability: 0.0 },
        }
    }
}

/// The scores of all classes.
///
/// # Errors
/// The run gave no logits, or not one for each class.
pub fn class_scores(row: &ScoreRow, outputs: &ModelOutputs) -> Result<Scores> {
    let (logits, classes) = (outputs.logits()?, row.classes);
    if logits.len() != classes {
        let problem = format!("a run gave {} scores for its {classes} classes", logits.len());
        return Err(Error::model("logits", problem));
    }
    Ok(Scores::new(logits, row.probability))
}

impl Scores {
    /// The index of what a subject stands for in this picture.
    pub fn index_of(&self, subject: Subject) -> usize {
        match subject {
            Subject::Class(index) => index,
            Subject::Rank(rank) => self.ranking[rank],
        }
    }

    /// The prediction with the map of each explained value, and the first of these maps. `None` without any map.
    pub fn predict_values(self, mut maps: Vec<(usize, CamMap)>) -> Option<(Prediction, CamMap)> {
        if maps.is_empty() {
            return None;
        }
        let (index, map) = maps.remove(0);
        Some((Prediction::Values(ValuePrediction { values: self.logits.to_vec(), index, others: maps }), map))
    }

    /// The prediction with the map of each explained class, and the first of these maps. `None` without any map.
    pub fn predict(
        self,
        probability: Probability,
        maps: Vec<(usize, CamMap)>,
        familiarity: Option<Familiarity>,
    ) -> Option<(Prediction, CamMap)> {
        let cosine = probability == Probability::Cosine;
        let top = self.ranking.iter().take(5);
        let top = top.map(|&class_index| Ranked {
            class_index,
            probability: self.probabilities[class_index],
            logit: self.logits[class_index],
        });
        let top = top.collect();
        let mut maps = maps.into_iter().map(|(class_index, map)| ClassMap {
            class_index,
            probability: self.probabilities[class_index],
            logit: self.logits[class_index],
            map,
        });
        let ClassMap { class_index, probability, logit, map } = maps.next()?;
        let others = maps.collect();
        let classes = ClassPrediction {
            cosine,
            others,
            familiarity,
            ..ClassPrediction::new(class_index, probability, logit, top)
        };
        Some((Prediction::Classes(classes), map))
    }
}

/// How familiar a picture is to a model that measures it.
///
/// # Errors
/// The run gave no such output.
pub fn familiarity(known: Option<&Known>, outputs: &ModelOutputs) -> Result<Option<Familiarity>> {
    let Some(Known { output, least }) = known else { return Ok(None) };
    Ok(Some(Familiarity { value: outputs.first(output)?, least: *least }))
}
