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

/// The `ReLU` that alone reads a tensor.
pub fn rectified<'g>(graph: &GraphIndex<'g>, tensor: &str) -> Option<&'g str> {
    let mut readers = graph.graph.node.iter().filter(|node| node.input.iter().any(|input| input == tensor));
    let only = readers.next().filter(|node| node.op() == "Relu" && readers.next().is_none())?;
    only.output.first().map(String::as_str)
}
