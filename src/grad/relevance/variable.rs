//! What a tensor depends on.

use crate::onnx::{GraphIndex, Step, Walk};

/// Whether the values of a tensor depend on those of `target`. Shapes do not count, nor do the scale and the zero point of a
/// dynamic quantiser, which say how large numbers are that count already.
pub fn varies(graph: &GraphIndex, tensor: &str, target: &str) -> bool {
    let walk = graph.walk_back(tensor, |tensor| match tensor {
        _ if tensor == target => Step::End,
        _ if is_constant(graph, tensor) => Step::Skip,
        _ => Step::On,
    });
    walk == Walk::Ended
}

/// Whether `gate` is a function of `x` alone, element by element: `x gate` is then an activation, as a `SiLU` is.
pub fn gates(graph: &GraphIndex, gate: &str, x: &str, target: &str) -> bool {
    let base = unscaled(graph, x, target);
    let mut found = false;
    let walk = graph.walk_back(gate, |tensor| {
        if tensor == base {
            found = true;
            return Step::Skip;
        }
        if is_constant(graph, tensor) {
            return Step::Skip;
        }
        let elementwise = graph.producer_node(tensor).is_none_or(|node| ELEMENTWISE.contains(&node.op()));
        if tensor == target || !elementwise && varies(graph, tensor, target) { Step::End } else { Step::On }
    });
    walk == Walk::Whole && found
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

/// Whether a tensor counts as constant, whatever it is made from.
fn is_constant(graph: &GraphIndex, tensor: &str) -> bool {
    graph.producer_node(tensor).is_some_and(|node| match node.op() {
        "Shape" | "Size" => true,
        "DynamicQuantizeLinear" => node.output.first().is_none_or(|first| first != tensor),
        _ => false,
    })
}
