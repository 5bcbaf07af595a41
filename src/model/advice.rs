//! What to do where an op has no gradient.

use crate::cam::METHODS;
use crate::error::Error;
use crate::grad::{self, Rules, Task};
use crate::onnx::{GraphIndex, OnnxModel, Tensors};

/// The error with a remedy: the last layer that a gradient reaches, or else the methods that take none.
pub fn with_advice(
    error: Error,
    model: &OnnxModel,
    tensors: &Tensors,
    task: &Task,
    rules: &Rules,
    channels_last: bool,
) -> Error {
    let (op, node, problem) = match error {
        Error::NoGradientRule { op, node } => (op, node, "it has no gradient rule".to_owned()),
        Error::Rule { op, node, problem } => (op, node, problem),
        error => return error,
    };
    let index = GraphIndex::new(model.graph());
    let before_scores = index.ancestors(task.tensor());
    let reached = |tensor: &str| {
        let after = index.dependents(tensor);
        let mut between = model.graph().node.iter().enumerate().filter(|(at, node)| {
            before_scores.contains(at) && node.input.iter().any(|input| after.contains(input.as_str()))
        });
        between.all(|(_, between)| between.label() != node && rules.know(between))
    };
    let candidates = grad::list_candidates(model, tensors, task, channels_last);
    let remedy = if let Some(layer) = candidates.iter().rev().find(|candidate| reached(&candidate.tensor)) {
        format!("choose a layer closer to the output, such as --layer {}", layer.tensor)
    } else {
        let without = METHODS.iter().filter(|method| !method.needs().gradient).map(|method| method.name);
        format!("choose a method that takes no gradient: {}", without.collect::<Vec<_>>().join(", "))
    };
    Error::Rule { op, node, problem: format!("{problem}; {remedy}") }
}
