//! The tasks.

use std::fmt;

use serde::Serialize;

use super::classify::Classification;
use super::head::{Found, Search, check_stated_shapes, find_logits};
use crate::error::Result;
use crate::grad::augment::LOGITS;
use crate::grad::graph_writer::GraphWriter;
use crate::onnx::{OnnxModel, Tensors};

/// What a model's outputs mean: one variant a task, one file a variant.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Task {
    /// One picture, one score a class.
    Classify(Classification),
}

impl Task {
    /// Finds the task in the graph, and what a user should know of how it was found.
    ///
    /// # Errors
    /// The model has no output of a known form, nothing tells which one holds the scores, or none has the name that is
    /// searched for.
    pub fn find(model: &OnnxModel, tensors: &Tensors, search: Search) -> Result<(Self, Vec<String>)> {
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
            Self::Classify(_) => {}
        }
    }

    /// The task's name in the contract.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Classify(_) => "classify",
        }
    }

    /// The tensor that every score of this task is made of; layers lie between the input and this tensor.
    pub fn tensor(&self) -> &str {
        match self {
            Self::Classify(classification) => &classification.logits,
        }
    }

    /// The output of an augmented model that holds the scores: its name, and its shape `[N,…]` with -1 for the batch.
    pub fn output(&self) -> (&'static str, Vec<i64>) {
        match self {
            Self::Classify(classification) => (LOGITS, vec![-1, classification.classes as i64]),
        }
    }

    /// Whether the model already has that output.
    pub fn has_output(&self, model: &OnnxModel, tensors: &Tensors) -> bool {
        match self {
            Self::Classify(classification) => classification.has_output(model, tensors),
        }
    }

    /// Writes that output.
    ///
    /// # Errors
    /// The shape of the scores is unknown.
    pub fn write_output(&self, writer: &GraphWriter) -> Result<()> {
        match self {
            Self::Classify(classification) => classification.write_output(writer),
        }
    }

    /// The classification; `None` for a task without classes.
    pub fn as_classification(&self) -> Option<&Classification> {
        match self {
            Self::Classify(classification) => Some(classification),
        }
    }

    /// What [`Task::tensor`] holds.
    pub fn tensor_kind(&self) -> &'static str {
        match self {
            Self::Classify(_) => "logits",
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Classify(classification) => classification.fmt(f),
        }
    }
}
