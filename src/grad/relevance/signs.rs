//! What is known of the signs of a tensor.

use std::collections::HashSet;

use crate::onnx::GraphIndex;
use crate::onnx::proto::{Node, Tensor};

/// Whether no value of a tensor can be negative, as its ops tell.
pub fn is_nonnegative(graph: &GraphIndex, tensor: &str) -> bool {
    let (mut open, mut seen) = (vec![tensor], HashSet::new());
    while let Some(tensor) = open.pop() {
        if !seen.insert(tensor) {
            continue;
        }
        let Some(node) = graph.producer_node(tensor) else { return false };
        if ends_nonnegative(graph, node) {
            continue;
        }
        match node.op() {
            // These choose, move or average numbers.
            "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" | "ReduceMean" | "ReduceMax"
            | "Identity" | "Dropout" | "Reshape" | "Flatten" | "Transpose" | "Squeeze" | "Unsqueeze" | "Slice"
            | "Split" | "Cast" => {
                open.extend(node.input.first().map(String::as_str));
            }
            "Pad" if pads_nonnegative(graph, node) => open.extend(node.input.first().map(String::as_str)),
            "Concat" | "Add" | "Sum" | "Mul" | "Max" => open.extend(node.input.iter().map(String::as_str)),
            _ => return false,
        }
    }
    true
}

/// Whether an op's result is never negative, whatever goes in.
fn ends_nonnegative(graph: &GraphIndex, node: &Node) -> bool {
    match node.op() {
        "Relu" | "Sigmoid" | "Softmax" | "HardSigmoid" | "Softplus" | "Abs" | "Exp" | "Sqrt" => true,
        "Clip" => {
            let low = node.input.get(1).and_then(|low| graph.constant(low)).and_then(Tensor::first_f32);
            low.or(node.float("min")).is_some_and(|low| low >= 0.0)
        }
        _ => false,
    }
}

/// Whether what a `Pad` adds is not negative if what it pads is not.
fn pads_nonnegative(graph: &GraphIndex, node: &Node) -> bool {
    node.string("mode").is_some_and(|mode| mode != "constant")
        || padding_value(graph, node).is_some_and(|value| value >= 0.0)
}

/// The number that a `Pad` of mode `constant` adds, if it is known.
pub fn padding_value(graph: &GraphIndex, pad: &Node) -> Option<f32> {
    match pad.input.get(2).filter(|value| !value.is_empty()) {
        Some(value) => graph.constant(value).and_then(Tensor::first_f32),
        None => Some(0.0),
    }
}

/// The op that alone reads a tensor, if it makes negative numbers 0: a `Relu`, or a `Clip` from 0 on.
pub fn rectifier<'g>(graph: &GraphIndex<'g>, tensor: &str) -> Option<&'g Node> {
    let mut readers = graph.graph.node.iter().filter(|node| node.input.iter().any(|input| input == tensor));
    let only = readers.next().filter(|_| readers.next().is_none())?;
    (only.op() == "Relu" || clips_at_zero(graph, only)).then_some(only)
}

/// Whether a node is a `Clip` whose lower bound is 0.
pub fn clips_at_zero(graph: &GraphIndex, node: &Node) -> bool {
    let low = || node.input.get(1).and_then(|low| graph.constant(low)).and_then(Tensor::first_f32);
    node.op() == "Clip" && low().is_some_and(|low| low == 0.0)
}
