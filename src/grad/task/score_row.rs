//! A row of numbers for each picture: the scores of classes, the likeness to references, or values.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::grad::augment::LOGITS;
use crate::grad::graph_writer::GraphWriter;
use crate::onnx::{DataType, GraphIndex, OnnxModel, Tensors};

/// How logits become probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Probability {
    /// The classes exclude each other.
    Softmax,
    /// Each class for itself, for a model that ends in a sigmoid.
    Sigmoid,
    /// They are probabilities already, which the model made in its own way.
    Given,
    /// They are cosines, which are no probabilities.
    Cosine,
    /// They are quantities, which are no probabilities.
    Value,
}

impl Probability {
    /// The names of those that can be asked for.
    pub const NAMES: &[&str] = &["softmax", "sigmoid"];

    pub fn named(name: &str) -> Option<Self> {
        [Self::Softmax, Self::Sigmoid].into_iter().find(|probability| probability.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::Sigmoid => "sigmoid",
            Self::Given => "given",
            Self::Cosine => "cosine",
            Self::Value => "value",
        }
    }
}

/// Where a model holds a row of numbers, each of which can be explained.
#[derive(Clone, Debug, Serialize)]
pub struct ScoreRow {
    /// The tensor of logits: `[N,K]`, or one with more axes of which all but one have length 1.
    pub logits: String,
    pub classes: usize,
    pub probability: Probability,
}

impl ScoreRow {
    /// Whether the logits are already an output called [`LOGITS`] of the right form.
    pub fn has_output(&self, model: &OnnxModel, tensors: &Tensors) -> bool {
        let plain = tensors.get(LOGITS).is_some_and(|t| t.shape.len() == 2 && t.kind == Some(DataType::Float));
        plain && is_copy(model, LOGITS, &self.logits)
    }

    /// Writes the output [`LOGITS`] `[N,K]`.
    ///
    /// # Errors
    /// The shape of the logits is unknown.
    pub fn write_output(&self, writer: &GraphWriter) -> Result<()> {
        let logits = writer.tensor(&self.logits);
        if writer.shape(&self.logits)?.len() == 2 {
            writer.emit_as(LOGITS, "Identity", &[logits], &[]);
        } else {
            let shape = writer.int64s(&[-1, self.classes as i64]);
            writer.emit_as(LOGITS, "Reshape", &[logits, shape], &[]);
        }
        Ok(())
    }
}

/// Whether a tensor holds the numbers of another one, in whatever type.
pub fn is_copy(model: &OnnxModel, tensor: &str, original: &str) -> bool {
    let index = GraphIndex::new(model.graph());
    let mut tensor = tensor;
    while tensor != original {
        let copied = index.producer_node(tensor).filter(|node| matches!(node.op(), "Cast" | "Identity"));
        let Some(from) = copied.and_then(|node| node.input.first()) else { return false };
        tensor = from;
    }
    true
}

impl fmt::Display for ScoreRow {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { logits, classes, probability } = self;
        match (probability, classes) {
            (Probability::Cosine, _) => write!(f, "{logits} ({classes} numbers, compared by the cosine)"),
            (Probability::Value, 1) => write!(f, "{logits} (a value)"),
            (Probability::Value, _) => write!(f, "{logits} ({classes} values)"),
            _ => write!(f, "{logits} ({classes} classes, {})", probability.name()),
        }
    }
}
