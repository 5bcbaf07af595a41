//! The tasks.

use std::fmt;

use serde::Serialize;

use super::classify::Classification;
use super::detect::Detection;
use super::head::{Found, Search, check_stated_shapes, find_logits};
use crate::error::Result;
use crate::grad::augment::{CLASS_INDEX, LOGITS};
use crate::grad::graph_writer::GraphWriter;
use crate::onnx::{OnnxModel, Tensors};

/// What a model's outputs mean: one variant a task, one file a variant.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Task {
    /// One picture, one score a class.
    Classify(Classification),
    /// Boxes with classes.
    Detect(Detection),
}

/// The names of tasks that can be asked for.
pub const TASKS: &[&str] = &["classify", "detect"];

impl Task {
    /// Finds the scores of a classifier in the graph, and what a user should know of how they were found.
    ///
    /// # Errors
    /// The model has no output of that form, nothing tells which one holds the scores, or none has the name that is
    /// searched for.
    pub fn find_classes(model: &OnnxModel, tensors: &Tensors, search: Search) -> Result<(Self, Vec<String>)> {
        let Found { classification, notices } = find_logits(model, tensors, search)?;
        Ok((Self::Classify(classification), notices))
    }

    /// Refuses a model whose stated shapes say that none of its outputs has a known form.
    ///
    /// # Errors
    /// No output has a known form.
    pub fn check_stated_shapes(model: &OnnxModel, output: Option<&str>) -> Result<()> {
        check_stated_shapes(model, output)
    }

    /// Renames the tensor that the scores are made of.
    pub fn rename(&mut self, old: &str, new: &str) {
        match self {
            Self::Classify(classification) if classification.logits == old => {
                new.clone_into(&mut classification.logits);
            }
            Self::Classify(_) | Self::Detect(_) => {}
        }
    }

    /// The task's name in the contract.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Classify(_) => "classify",
            Self::Detect(_) => "detect",
        }
    }

    /// The tensor that every score of this task is made of; layers lie between the input and this tensor.
    pub fn tensor(&self) -> &str {
        match self {
            Self::Classify(classification) => &classification.logits,
            Self::Detect(_) => Detection::LOGITS,
        }
    }

    /// The outputs of an augmented model that say what it predicts.
    pub fn outputs(&self) -> &'static [&'static str] {
        match self {
            Self::Classify(_) => &[LOGITS],
            Self::Detect(detection) => detection.outputs(),
        }
    }

    /// The shape `[N,…]` of those outputs with -1 for the batch, where it is the same for all models.
    pub fn output_dims(&self) -> Option<Vec<i64>> {
        match self {
            Self::Classify(classification) => Some(vec![-1, classification.classes as i64]),
            Self::Detect(_) => None,
        }
    }

    /// Whether the model already has those outputs.
    pub fn has_outputs(&self, model: &OnnxModel, tensors: &Tensors) -> bool {
        match self {
            Self::Classify(classification) => classification.has_output(model, tensors),
            Self::Detect(detection) => detection.has_outputs(model),
        }
    }

    /// Writes those outputs, where they are no tensors of the model yet.
    ///
    /// # Errors
    /// The shape of the scores is unknown.
    pub fn write_outputs(&self, writer: &GraphWriter) -> Result<()> {
        match self {
            Self::Classify(classification) => classification.write_output(writer),
            Self::Detect(_) => Ok(()),
        }
    }

    /// The output of the layers after a target that holds a row of scores for each picture.
    pub fn row_output(&self) -> &'static str {
        match self {
            Self::Classify(_) => LOGITS,
            Self::Detect(_) => Detection::ROW,
        }
    }

    /// The numbers of a row of scores, which [`Task::write_row`] writes.
    pub fn row_length(&self) -> usize {
        match self {
            Self::Classify(classification) => classification.classes,
            Self::Detect(detection) => detection.entries,
        }
    }

    /// Writes the output [`Task::row_output`] `[N,L]`, unless the model has it.
    ///
    /// # Errors
    /// The shape of the scores is unknown.
    pub fn write_row(&self, writer: &GraphWriter) -> Result<()> {
        match self {
            Self::Classify(classification) if classification.logits == LOGITS => Ok(()),
            Self::Classify(classification) => classification.write_output(writer),
            Self::Detect(detection) => {
                detection.write_row(writer, Detection::ROW);
                Ok(())
            }
        }
    }

    /// The added input that says what is explained, and its shape: -1 for the batch, and -2 for a second free length.
    pub fn index_input(&self) -> (&'static str, &'static [i64]) {
        match self {
            Self::Classify(_) => (CLASS_INDEX, &[-1]),
            Self::Detect(_) => (Detection::INDEX, &[-1, -2]),
        }
    }

    /// The classification; `None` for another task.
    pub fn as_classification(&self) -> Option<&Classification> {
        match self {
            Self::Classify(classification) => Some(classification),
            Self::Detect(_) => None,
        }
    }

    /// The detection; `None` for another task.
    pub fn as_detection(&self) -> Option<&Detection> {
        match self {
            Self::Classify(_) => None,
            Self::Detect(detection) => Some(detection),
        }
    }

    /// The number of classes that labels name.
    pub fn classes(&self) -> usize {
        match self {
            Self::Classify(classification) => classification.classes,
            Self::Detect(detection) => detection.classes,
        }
    }

    /// What [`Task::tensor`] holds.
    pub fn tensor_kind(&self) -> &'static str {
        match self {
            Self::Classify(_) => "logits",
            Self::Detect(_) => "boxes",
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Classify(classification) => classification.fmt(f),
            Self::Detect(detection) => detection.fmt(f),
        }
    }
}
