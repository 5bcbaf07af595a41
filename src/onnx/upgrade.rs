//! Upgrades a graph from operator sets 7 to 17 to operator set 18, so that all other code sees one form of each op.
//!
//! The differences, from <https://onnx.ai/onnx/operators/>: attributes became inputs, and a few attributes were
//! removed. Before operator set 13, `Softmax` and `LogSoftmax` flattened all axes from `axis` on. For `[N,K]`,
//! `[N,K,1,1]` and the last axis, the only uses in classifiers, both forms are equal.

use super::proto::{Attribute, Graph, Node, Tensor};

/// An attribute that became an input.
struct Moved {
    op: &'static str,
    attribute: &'static str,
    input: usize,
    /// The first operator set that has it as an input.
    since: i64,
}

const fn moved(op: &'static str, attribute: &'static str, input: usize, since: i64) -> Moved {
    Moved { op, attribute, input, since }
}

const MOVED: &[Moved] = &[
    moved("Upsample", "scales", 1, 9),
    moved("Slice", "starts", 1, 10),
    moved("Slice", "ends", 2, 10),
    moved("Slice", "axes", 3, 10),
    moved("Clip", "min", 1, 11),
    moved("Clip", "max", 2, 11),
    moved("Pad", "pads", 1, 11),
    moved("Pad", "value", 2, 11),
    moved("ReduceSum", "axes", 1, 13),
    moved("Split", "split", 1, 13),
    moved("Squeeze", "axes", 1, 13),
    moved("Unsqueeze", "axes", 1, 13),
    moved("ReduceL1", "axes", 1, 18),
    moved("ReduceL2", "axes", 1, 18),
    moved("ReduceLogSum", "axes", 1, 18),
    moved("ReduceLogSumExp", "axes", 1, 18),
    moved("ReduceMax", "axes", 1, 18),
    moved("ReduceMean", "axes", 1, 18),
    moved("ReduceMin", "axes", 1, 18),
    moved("ReduceProd", "axes", 1, 18),
    moved("ReduceSumSquare", "axes", 1, 18),
];

/// Removed attributes that do not affect inference: op, attribute, and the first operator set without it.
const REMOVED: &[(&str, &str, i64)] = &[("BatchNormalization", "spatial", 9), ("Dropout", "ratio", 12)];

/// Upgrades the nodes of a graph and its subgraphs from operator set `from` to 18.
pub fn to_working_opset(graph: &mut Graph, from: i64) {
    let mut constants = Vec::new();
    for node in graph.node.iter_mut().filter(|node| node.is_standard()) {
        for subgraph in node.attribute.iter_mut().filter_map(|a| a.g.as_mut()) {
            to_working_opset(subgraph, from);
        }
        let op = node.op().to_owned();
        let made = node.output.first().cloned().unwrap_or_default();
        for Moved { attribute, input, .. } in MOVED.iter().filter(|m| m.op == op && from < m.since) {
            let Some(value) = take(node, attribute) else { continue };
            let name = format!("whycam.upgrade.{made}.{attribute}");
            constants.push(match value.f {
                Some(number) => Tensor::from_f32s(&name, &[], &[number]),
                None if !value.floats.is_empty() => {
                    Tensor::from_f32s(&name, &[value.floats.len() as i64], &value.floats)
                }
                None => Tensor::from_i64s(&name, &[value.ints.len() as i64], &value.ints),
            });
            node.input.resize(node.input.len().max(input + 1), String::new());
            node.input[*input] = name;
        }
        for (op, attribute, since) in REMOVED {
            if node.op() == *op && from < *since {
                take(node, attribute);
            }
        }
        if from < 11 {
            rename_before_11(node);
        }
        let softmax = matches!(node.op(), "Softmax" | "LogSoftmax");
        if softmax && from < 13 && node.attribute("axis").is_none() {
            node.attribute.push(Attribute::from_int("axis", 1));
        }
        let split = node.op() == "Split" && from < 18 && node.input.len() == 1;
        if split && node.attribute("num_outputs").is_none() {
            node.attribute.push(Attribute::from_int("num_outputs", node.output.len() as i64));
        }
    }
    graph.initializer.extend(constants);
}

/// `Upsample` became `Resize`, which got a new second input, and `Scatter` became `ScatterElements`.
fn rename_before_11(node: &mut Node) {
    match node.op() {
        "Upsample" | "Resize" => {
            node.op_type = Some("Resize".into());
            node.input.insert(1, String::new());
            node.attribute.push(Attribute::from_string("coordinate_transformation_mode", "asymmetric"));
            node.attribute.push(Attribute::from_string("nearest_mode", "floor"));
        }
        "Scatter" => node.op_type = Some("ScatterElements".into()),
        _ => {}
    }
}

fn take(node: &mut Node, attribute: &str) -> Option<Attribute> {
    let index = node.attribute.iter().position(|a| a.name() == attribute)?;
    Some(node.attribute.remove(index))
}
