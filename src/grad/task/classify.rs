//! Classification: finding the logits.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::grad::augment::LOGITS;
use crate::grad::graph_writer::GraphWriter;
use crate::onnx::proto::{Node, ValueInfo};
use crate::onnx::{DataType, GraphIndex, OnnxModel, Tensors};

/// Ops that may follow the logits. The gradient of a confident softmax is almost zero, so the search passes over them.
const TRAILING: &[&str] = &["ArgMax", "Cast", "Identity", "LogSoftmax", "Sigmoid", "Softmax", "TopK"];
/// Ops that keep every number and change the shape alone.
const RESHAPING: &[&str] = &["Flatten", "Reshape", "Squeeze", "Unsqueeze"];

/// How logits become probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Probability {
    /// The classes exclude each other.
    Softmax,
    /// Each class for itself, for a model that ends in a sigmoid.
    Sigmoid,
}

impl Probability {
    pub fn name(self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::Sigmoid => "sigmoid",
        }
    }
}

/// Where a classifier holds its logits.
#[derive(Clone, Debug, Serialize)]
pub struct Classification {
    /// The tensor of logits: `[N,K]`, or one with more axes of which all but one have length 1.
    pub logits: String,
    pub classes: usize,
    pub probability: Probability,
}

impl Classification {
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
fn is_copy(model: &OnnxModel, tensor: &str, original: &str) -> bool {
    let index = GraphIndex::new(model.graph());
    let mut tensor = tensor;
    while tensor != original {
        let copied = index.producer_node(tensor).filter(|node| matches!(node.op(), "Cast" | "Identity"));
        let Some(from) = copied.and_then(|node| node.input.first()) else { return false };
        tensor = from;
    }
    true
}

impl fmt::Display for Classification {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} ({} classes, {})", self.logits, self.classes, self.probability.name())
    }
}

/// Finds the logits: the model's output, or the tensor before its trailing softmax. Of several outputs it takes the one
/// called `output`, or the first that has the form of class scores.
///
/// # Errors
/// No output has the form `[N,K]`, or none is called `output`.
pub fn find_logits(model: &OnnxModel, tensors: &Tensors, output: Option<&str>) -> Result<Classification> {
    let outputs: Vec<&str> = model.graph().output.iter().map(ValueInfo::name).collect();
    let considered: Vec<&str> = outputs.iter().copied().filter(|o| output.is_none_or(|wanted| *o == wanted)).collect();
    if let Some(name) = output.filter(|_| considered.is_empty()) {
        let known = format!("the model has {}", outputs.join(", "));
        return Err(Error::Unknown { what: "output", name: name.to_owned(), known });
    }
    let index = GraphIndex::new(model.graph());
    let input = model.graph().true_inputs().next().and_then(|input| tensors.get(input.name()));
    let batch = input.and_then(|t| t.shape.first().copied()).unwrap_or(1);
    let found = considered.iter().filter_map(|output| classification_of(&index, tensors, batch, output));
    let found: Vec<Classification> = found.collect();
    let of_several = found.iter().find(|classification| classification.classes > 1);
    of_several.or(found.first()).cloned().ok_or_else(|| {
        let shapes = considered.iter().map(|o| format!("{o} {:?}", tensors.get(*o).map_or(&[][..], |t| &t.shape)));
        let shapes = shapes.collect::<Vec<_>>().join(", ");
        model.error(format!("whycam explains classifiers, whose output is [N,classes]; this model gives {shapes}"))
    })
}

fn classification_of(index: &GraphIndex, tensors: &Tensors, batch: usize, output: &str) -> Option<Classification> {
    let mut probability = Probability::Softmax;
    // A change of shape is passed over only if a softmax comes before it.
    let (mut logits, mut tensor) = (output, output);
    while let Some(node) = index.producer_node(tensor) {
        if let Some(before) = decomposed_softmax(index, node) {
            (logits, tensor) = (before, before);
            continue;
        }
        tensor = node.input.first()?;
        if TRAILING.contains(&node.op()) {
            logits = tensor;
            if node.op() == "Sigmoid" {
                probability = Probability::Sigmoid;
            }
        } else if !RESHAPING.contains(&node.op()) {
            break;
        }
    }
    let info = tensors.get(logits).filter(|t| t.kind.is_none_or(DataType::is_float))?;
    let of_one = if info.shape.first() == Some(&batch) { &info.shape[1..] } else { &info.shape };
    let classes = of_one.iter().product::<usize>();
    if classes == 0 || of_one.iter().filter(|&&d| d > 1).count() > 1 {
        return None;
    }
    if classes == 1 {
        probability = Probability::Sigmoid;
    }
    Some(Classification { logits: logits.to_owned(), classes, probability })
}

/// `x` of `exp(x) / Σ exp(x)`, or of `exp(x - max x) / Σ exp(x - max x)`.
fn decomposed_softmax<'g>(index: &GraphIndex<'g>, node: &'g Node) -> Option<&'g str> {
    let [powers, sum] = node.input.get(..2).filter(|_| node.op() == "Div")? else { return None };
    let sum = index.producer_node(sum).filter(|n| n.op() == "ReduceSum" && n.input.first() == Some(powers));
    let x = index.producer_node(powers).filter(|n| sum.is_some() && n.op() == "Exp")?.input.first()?;
    let shifted = index.producer_node(x).filter(|n| n.op() == "Sub");
    let by_max = |n: &&Node| n.input.get(1).and_then(|m| index.producer_node(m)).is_some_and(|m| m.op() == "ReduceMax");
    Some(shifted.filter(by_max).and_then(|n| n.input.first()).unwrap_or(x))
}
