//! What one run of a model says, as its task reads it.

use ndarray::ArrayView1;

use super::prediction::{ClassMap, ClassPrediction, Familiarity, Prediction, Ranked};
use super::runner::ModelOutputs;
use super::scores::Scores;
use crate::cam::{CamMap, ScoreValue};
use crate::error::{Error, Result};
use crate::grad::{Classification, Task};
use crate::model::{Known, Subject};

/// What one run of a model says: one variant a task.
pub enum Reading {
    Classes(Scores),
}

impl Reading {
    /// # Errors
    /// The run gave no output of the task's form.
    pub fn new(task: &Task, outputs: &ModelOutputs) -> Result<Self> {
        match task {
            Task::Classify(Classification { classes, probability, .. }) => {
                let logits = outputs.logits()?;
                if logits.len() != *classes {
                    let problem = format!("a run gave {} scores for its {classes} classes", logits.len());
                    return Err(Error::model("logits", problem));
                }
                Ok(Self::Classes(Scores::new(logits, *probability)))
            }
        }
    }

    /// From a row of the task's scores, as the remainder gives it.
    pub fn of_row(task: &Task, row: ArrayView1<f32>) -> Self {
        match task {
            Task::Classify(classification) => Self::Classes(Scores::new(row, classification.probability)),
        }
    }

    /// The index of what a subject stands for in this picture.
    pub fn index_of(&self, subject: Subject) -> usize {
        match (self, subject) {
            (_, Subject::Class(index)) => index,
            (Self::Classes(scores), Subject::Rank(rank)) => scores.ranking[rank],
        }
    }

    /// The score of what has this index.
    pub fn score(&self, index: usize) -> ScoreValue {
        match self {
            Self::Classes(scores) => scores.of_class(index),
        }
    }

    /// The prediction with the map of each explained index, and the first of these maps. `None` without any map.
    pub fn predict(self, maps: Vec<(usize, CamMap)>, familiarity: Option<Familiarity>) -> Option<(Prediction, CamMap)> {
        let Self::Classes(scores) = self;
        let top = scores.ranking.iter().take(5);
        let top = top.map(|&class_index| Ranked { class_index, probability: scores.probabilities[class_index] });
        let top = top.collect();
        let mut maps = maps.into_iter().map(|(class_index, map)| ClassMap {
            class_index,
            probability: scores.probabilities[class_index],
            logit: scores.logits[class_index],
            map,
        });
        let ClassMap { class_index, probability, logit, map } = maps.next()?;
        let others = maps.collect();
        let classes =
            ClassPrediction { others, familiarity, ..ClassPrediction::new(class_index, probability, logit, top) };
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
