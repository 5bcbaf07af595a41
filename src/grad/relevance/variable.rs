//! What a tensor depends on.

use std::collections::HashSet;

use crate::onnx::GraphIndex;
use crate::onnx::proto::Node;

/// Whether the values of a tensor depend on those of `target`. Shapes do not count, nor do the scale and the zero point of a
/// dynamic quantiser, which say how large numbers are that count already.
pub fn varies(graph: &GraphIndex, tensor: &str, target: &str) -> bool {
    walk_back(graph, tensor, |tensor| if tensor == target { Step::Stop } else { Step::On }).is_none()
}

/// Whether `gate` is a function of `x` alone, element by element: `x gate` is then an activation, as a `SiLU` is.
pub fn gates(graph: &GraphIndex, gate: &str, x: &str, target: &str) -> bool {
    let base = unscaled(graph, x, target);
    let mut found = false;
    let ways = walk_back(graph, gate, |tensor| {
        if tensor == base {
            found = true;
            return Step::Skip;
        }
        let elementwise = graph.producer_node(tensor).is_none_or(|node| ELEMENTWISE.contains(&node.op()));
        if tensor == target || !elementwise && varies(graph, tensor, target) { Step::Stop } else { Step::On }
    });
    ways.is_some() && found
}

const ELEMENTWISE: &[&str] = &[
    "Add",
    "Cast",
    "Clip",
    "Div",
    "Erf",
    "HardSigmoid",
    "Identity",
    "Max",
    "Min",
    "Mul",
    "Neg",
    "Pow",
    "Sigmoid",
    "Softplus",
    "Sub",
    "Tanh",
];

/// The tensor that `x` is a constant multiple of.
fn unscaled<'g>(graph: &GraphIndex<'g>, mut x: &'g str, target: &str) -> &'g str {
    while x != target
        && let Some(node) = graph.producer_node(x).filter(|node| matches!(node.op(), "Mul" | "Div"))
    {
        let mut variable = node.input.iter().filter(|input| varies(graph, input, target));
        let (Some(only), None) = (variable.next(), variable.next()) else { break };
        x = only;
    }
    x
}

/// What to do at a tensor.
enum Step {
    /// Go on to what it is made from.
    On,
    /// Leave that out.
    Skip,
    /// End the walk.
    Stop,
}

/// Walks from a tensor to all that it is made from. `None` if a step ends the walk.
fn walk_back(graph: &GraphIndex, tensor: &str, mut step: impl FnMut(&str) -> Step) -> Option<()> {
    let (mut open, mut seen) = (vec![tensor], HashSet::new());
    while let Some(tensor) = open.pop() {
        if !seen.insert(tensor) {
            continue;
        }
        match step(tensor) {
            Step::On => {}
            Step::Skip => continue,
            Step::Stop => return None,
        }
        if let Some(node) = graph.producer_node(tensor).filter(|node| !is_constant_output(node, tensor)) {
            open.extend(node.input.iter().map(String::as_str).chain(node.captured()));
        }
    }
    Some(())
}

fn is_constant_output(node: &Node, output: &str) -> bool {
    let scale = node.op() == "DynamicQuantizeLinear" && node.output.first().is_none_or(|first| first != output);
    scale || matches!(node.op(), "Shape" | "Size")
}
