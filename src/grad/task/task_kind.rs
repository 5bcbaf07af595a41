//! The tasks.

use std::fmt;

use serde::Serialize;

use super::classify::{Classification, find_logits};
use crate::error::Result;
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
    /// Finds the task in the graph. `output` names the output that holds the scores, where the model has several.
    ///
    /// # Errors
    /// The model has no output of a known form, or none called `output`.
    pub fn find(model: &OnnxModel, tensors: &Tensors, output: Option<&str>) -> Result<Self> {
        find_logits(model, tensors, output).map(Self::Classify)
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

    /// What that tensor holds.
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
