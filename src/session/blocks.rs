//! Backward passes that stay in blocks of channels.
//!
//! ONNX Runtime's processor provider computes convolutions on blocks of channels, and keeps the tensors between them so through
//! the few ops that it knows in this layout, among them products and `HardSigmoid`. Before and after any other op it reorders
//! the tensor, which takes as long as the op. A comparison is such another op, and so the mask of each rectifier.

use std::collections::HashMap;

use crate::onnx::proto::{Attribute, Node};
use crate::onnx::{DataType, GraphIndex, OnnxModel, keep_outputs, written_number};

/// Ops that the runtime computes on blocks of channels.
const BLOCKED: &[&str] = &[
    "Add",
    "AveragePool",
    "Concat",
    "Conv",
    "HardSigmoid",
    "MaxPool",
    "Mul",
    "Relu",
    "Resize",
    "Sigmoid",
    "Sum",
    "Tanh",
];

/// `min(max(slope x + offset, 0), 1)`: 0 or 1 for a slope so steep that no float lies between.
struct Ramp<'g> {
    x: &'g str,
    slope: f32,
    offset: f32,
}

/// The model with such ops in the backward pass that the runtime need not reorder for, if there are any to replace. The numbers
/// are the same to the bit, unless what is compared lies within 2⁻¹²⁷ of its bound or is no number.
pub fn in_blocks(model: &OnnxModel) -> Option<OnnxModel> {
    let index = GraphIndex::new(model.graph());
    let replacement =
        |node: &Node| mask(&index, node).or_else(|| raised(&index, node)).or_else(|| growth(&index, node));
    let written = model.graph().node.iter().enumerate().filter(|(_, node)| is_written(node));
    let mut replaced: HashMap<usize, Vec<Node>> =
        written.filter_map(|(at, node)| Some((at, replacement(node)?))).collect();
    if replaced.is_empty() {
        return None;
    }
    let mut graph = model.graph().clone();
    let nodes = std::mem::take(&mut graph.node).into_iter().enumerate();
    graph.node = nodes.flat_map(|(at, node)| replaced.remove(&at).unwrap_or_else(|| vec![node])).collect();
    // The runtime would compute the comparisons that nothing reads any more.
    Some(keep_outputs(&model.with_graph(graph), |_| true))
}

fn is_written(node: &Node) -> bool {
    node.output.first().is_some_and(|output| written_number(output).is_some())
}

/// Comparisons with constants, as numbers: ramps, multiplied.
fn mask(index: &GraphIndex, node: &Node) -> Option<Vec<Node>> {
    let to_float = node.op() == "Cast" && node.int("to") == Some(DataType::Float as i64);
    let (condition, mask) = (node.input.first().filter(|_| to_float)?, node.output.first()?);
    let ramps = ramps(index, condition)?;
    match ramps.as_slice() {
        [only] => Some(vec![ramp(only, mask)]),
        [first, second] => {
            let [a, b] = ["first", "second"].map(|which| format!("{mask}.{which}"));
            Some(vec![ramp(first, &a), ramp(second, &b), Node::new("Mul", mask.as_str(), &[&a, &b], &[mask])])
        }
        _ => None,
    }
}

fn ramp(ramp: &Ramp, output: &str) -> Node {
    let node = Node::new("HardSigmoid", output, &[ramp.x], &[output]);
    node.with(Attribute::from_float("alpha", ramp.slope)).with(Attribute::from_float("beta", ramp.offset))
}

/// A mask whose zeros are raised to a bound, as a ramp from there to 1.
fn raised(index: &GraphIndex, node: &Node) -> Option<Vec<Node>> {
    let [mask, bound] = node.input.as_slice() else { return None };
    let condition = index.producer_node(mask).filter(|cast| is_written(cast) && cast.op() == "Cast")?.input.first()?;
    let bound = number(index, bound).filter(|bound| (0.0..=1.0).contains(bound))?;
    if node.op() != "Max" || ramps(index, condition).is_none() {
        return None;
    }
    let (mask, output) = (mask.as_str(), node.output.first()?.as_str());
    Some(vec![ramp(&Ramp { x: mask, slope: 1.0 - bound, offset: bound }, output)])
}

/// The ramps that are all 1 where a condition holds, and of which one is 0 elsewhere.
fn ramps<'g>(index: &GraphIndex<'g>, condition: &str) -> Option<Vec<Ramp<'g>>> {
    let node = index.producer_node(condition).filter(|node| is_written(node))?;
    let [x, other] = node.input.as_slice() else { return None };
    if node.op() == "And" {
        let mut both = ramps(index, x)?;
        both.extend(ramps(index, other)?);
        return Some(both);
    }
    let bound = number(index, other)?;
    let above = |bound: f32| (steepness(bound), -bound * steepness(bound));
    let (slope, offset) = match node.op() {
        "Greater" => above(bound),
        "Less" => (-steepness(bound), bound * steepness(bound)),
        "GreaterOrEqual" if bound == 0.0 => (steepness(bound), 1.0),
        "GreaterOrEqual" => above(bound.next_down()),
        _ => return None,
    };
    Some(vec![Ramp { x, slope, offset }])
}

/// The value of a constant that is a single finite float32.
fn number(index: &GraphIndex, tensor: &str) -> Option<f32> {
    let constant = index.constant(tensor)?;
    let single = constant.data_type() == DataType::Float as i32 && matches!(constant.dims.as_slice(), [] | [1]);
    constant.first_f32().filter(|value| single && value.is_finite())
}

/// The steepest power of two, so that products with it are exact, that keeps `bound` finite.
fn steepness(bound: f32) -> f32 {
    let exponent = if bound == 0.0 { i32::MIN } else { bound.abs().log2().floor() as i32 };
    2_f32.powi(126_i32.saturating_sub(exponent).min(127))
}

/// An enlarged map whose source is in no blocks, after an op that brings it there: less is reordered before than after.
fn growth(index: &GraphIndex, node: &Node) -> Option<Vec<Node>> {
    let (source, scales) = (node.input.first()?, index.constant(node.input.get(2)?)?);
    let outside = index.producer_node(source).is_some_and(|node| !BLOCKED.contains(&node.op()));
    if node.op() != "Resize" || scales.dims != [4] || !outside {
        return None;
    }
    let moved = format!("{}.moved", node.output.first()?);
    let mut grown = node.clone();
    grown.input[0].clone_from(&moved);
    let copy = Node::new("AveragePool", moved.as_str(), &[source], &[&moved]);
    Some(vec![copy.with(Attribute::from_ints("kernel_shape", &[1, 1])), grown])
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayD, ArrayViewD};
    use ort::session::builder::GraphOptimizationLevel;

    use super::*;
    use crate::error::Result;
    use crate::onnx::proto::{Graph, Tensor, ValueInfo};
    use crate::session::{Compute, Input, Session};

    /// Bounds, their neighbours among the floats, and the ends of the range.
    const X: [f32; 16] = [
        0.0,
        -0.0,
        1.2e-38,
        -1.2e-38,
        1.0,
        -1.0,
        -3.0,
        -2.999_999_8,
        -3.000_000_2,
        6.0,
        5.999_999_5,
        6.000_000_5,
        f32::MAX,
        f32::MIN,
        f32::INFINITY,
        f32::NEG_INFINITY,
    ];

    fn node(op: &str, inputs: &[&str], output: &str) -> Node {
        Node::new(op, output, inputs, &[output])
    }

    /// A model of `x` `[1,1,4,4]` whose outputs are the masks of a backward pass.
    fn masks() -> OnnxModel {
        let number = |name: &str, value: f32| Tensor::from_f32s(name, &[], &[value]);
        let float = |condition: &str, output: &str| {
            node("Cast", &[condition], output).with(Attribute::from_int("to", DataType::Float as i64))
        };
        let node = vec![
            node("Greater", &["x", "zero"], "whycam.1.Greater"),
            float("whycam.1.Greater", "whycam.2.Cast"),
            node("Max", &["whycam.2.Cast", "tenth"], "whycam.3.Max"),
            node("Less", &["x", "six"], "whycam.4.Less"),
            node("Greater", &["x", "low"], "whycam.5.Greater"),
            node("And", &["whycam.5.Greater", "whycam.4.Less"], "whycam.6.And"),
            float("whycam.6.And", "whycam.7.Cast"),
            node("GreaterOrEqual", &["x", "zero"], "whycam.8.GreaterOrEqual"),
            float("whycam.8.GreaterOrEqual", "whycam.9.Cast"),
            float("whycam.4.Less", "whycam.10.Cast"),
            node("GreaterOrEqual", &["x", "six"], "whycam.11.GreaterOrEqual"),
            float("whycam.11.GreaterOrEqual", "whycam.12.Cast"),
        ];
        let outputs = [2, 7, 9, 10, 12].map(|number| format!("whycam.{number}.Cast"));
        let graph = Graph {
            name: Some("masks".into()),
            node,
            initializer: vec![number("zero", 0.0), number("tenth", 0.1), number("six", 6.0), number("low", -3.0)],
            input: vec![ValueInfo::tensor("x", DataType::Float, &[1, 1, 4, 4])],
            output: outputs.iter().map(String::as_str).chain(["whycam.3.Max"]).map(ValueInfo::untyped).collect(),
            ..Graph::default()
        };
        OnnxModel::from_graph("masks", 18, graph)
    }

    #[test]
    fn a_mask_in_blocks_is_the_same_to_the_bit() -> Result<()> {
        let model = masks();
        let blocked = in_blocks(&model).expect("the masks are replaced");
        assert!(blocked.graph().node.iter().all(|node| matches!(node.op(), "HardSigmoid" | "Mul")));
        let mut plain = Session::load(&model, Compute::default(), GraphOptimizationLevel::Disable, None)?;
        let mut session = Session::new(&model, Compute::default())?;
        let x = ArrayViewD::from_shape(vec![1, 1, 4, 4], &X).expect("16 numbers");
        let right = plain.run(vec![("x", Input::Float(x.view()))])?;
        let got = session.run(vec![("x", Input::Float(x))])?;
        for output in &model.graph().output {
            let values: [ArrayD<f32>; 2] =
                [right.floats(output.name())?.to_owned(), got.floats(output.name())?.to_owned()];
            assert_eq!(values[0], values[1], "{}", output.name());
        }
        Ok(())
    }

    #[test]
    fn a_model_without_masks_stays_as_it_is() {
        let graph = Graph { node: vec![node("Greater", &["x", "zero"], "greater")], ..Graph::default() };
        assert!(in_blocks(&OnnxModel::from_graph("plain", 18, graph)).is_none());
    }
}
