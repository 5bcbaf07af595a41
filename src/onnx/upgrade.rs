//! Upgrades a graph from operator sets 1 to 17 to operator set 18, so that all other code sees one form of each op.
//!
//! The differences, from <https://onnx.ai/onnx/operators/>: attributes became inputs, and a few attributes were
//! removed. Before operator set 13, `Softmax`, `LogSoftmax` and `Hardmax` flattened all axes from `axis` on. Before 16,
//! `RoiAlign` put cells half a cell further.

use std::collections::{HashMap, HashSet};

use super::before_7::to_opset_7;
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
    moved("Reshape", "shape", 1, 5),
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
    moved("TopK", "k", 1, 10),
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
    if from < 7 {
        to_opset_7(graph, from);
    }
    let mut constants = Vec::new();
    for node in graph.node.iter_mut().filter(|node| node.is_standard()) {
        for subgraph in node.attribute.iter_mut().filter_map(|a| a.g.as_mut()) {
            to_working_opset(subgraph, from);
        }
        let op = node.op().to_owned();
        let made = node.output.first().cloned().unwrap_or_default();
        for Moved { attribute, input, .. } in MOVED.iter().filter(|m| m.op == op && from < m.since) {
            let Some(value) = node.take_attribute(attribute) else { continue };
            let name = format!("whycam.upgrade.{made}.{attribute}");
            constants.push(match value.f {
                Some(number) => Tensor::from_f32s(&name, &[], &[number]),
                None if !value.floats.is_empty() => {
                    Tensor::from_f32s(&name, &[value.floats.len() as i64], &value.floats)
                }
                None => {
                    let values = value.i.map_or(value.ints, |value| vec![value]);
                    Tensor::from_i64s(&name, &[values.len() as i64], &values)
                }
            });
            node.input.resize(node.input.len().max(input + 1), String::new());
            node.input[*input] = name;
        }
        for (op, attribute, since) in REMOVED {
            if node.op() == *op && from < *since {
                node.take_attribute(attribute);
            }
        }
        if from < 11 {
            rename_before_11(node);
        }
        if node.op() == "BatchNormalization" && from < 14 && node.output.len() > 1 {
            upgrade_batch_statistics(node, from);
        }
        if node.op() == "RoiAlign" && from < 16 && node.attribute("coordinate_transformation_mode").is_none() {
            node.attribute.push(Attribute::from_string("coordinate_transformation_mode", "output_half_pixel"));
        }
        if is_softmax(node) && from < 13 && node.attribute("axis").is_none() {
            node.attribute.push(Attribute::from_int("axis", 1));
        }
        let split = node.op() == "Split" && from < 18 && node.input.len() == 1;
        if split && node.attribute("num_outputs").is_none() {
            node.attribute.push(Attribute::from_int("num_outputs", node.output.len() as i64));
        }
    }
    graph.initializer.extend(constants);
    if from < 13 {
        flatten_softmaxes(graph);
    }
}

fn is_softmax(node: &Node) -> bool {
    matches!(node.op(), "Softmax" | "LogSoftmax" | "Hardmax") && node.is_standard()
}

/// Writes out the flattening of a softmax from axis 0 or 1 on, unless it is known to have one axis there that is longer than 1.
/// A later axis is the last one in all exporters, unless the file states a longer shape.
fn flatten_softmaxes(graph: &mut Graph) {
    let of_one_axis: HashSet<String> = tensors_of_one_axis(graph);
    let infos = graph.input.iter().chain(&graph.value_info).chain(&graph.output);
    let shapes: HashMap<String, Vec<Option<i64>>> =
        infos.filter_map(|info| Some((info.name().to_owned(), info.dims()?))).collect();
    let goes_on = |tensor: &String, axis: usize| {
        shapes.get(tensor).is_some_and(|dims| dims.iter().skip(axis + 1).any(|length| *length != Some(1)))
    };
    let flattens = |node: &Node| match node.int("axis") {
        _ if !is_softmax(node) => false,
        Some(1) => !node.input.iter().any(|x| of_one_axis.contains(x)),
        Some(0) => true,
        Some(axis) => usize::try_from(axis)
            .is_ok_and(|axis| node.input.iter().chain(&node.output).any(|tensor| goes_on(tensor, axis))),
        None => false,
    };
    let mut nodes = Vec::with_capacity(graph.node.len());
    for mut node in std::mem::take(&mut graph.node) {
        if !flattens(&node) || node.input.is_empty() || node.output.is_empty() {
            nodes.push(node);
            continue;
        }
        let (x, y) = (node.input[0].clone(), node.output[0].clone());
        let [flat, result, shape] = ["flat", "result", "shape"].map(|part| format!("whycam.upgrade.{y}.{part}"));
        let from = Attribute::from_int("axis", node.int("axis").unwrap_or(1));
        nodes.push(Node::new("Flatten", flat.as_str(), &[&x], &[&flat]).with(from));
        node.take_attribute("axis");
        node.attribute.push(Attribute::from_int("axis", 1));
        (node.input[0], node.output[0]) = (flat, result.clone());
        nodes.push(node);
        nodes.push(Node::new("Shape", shape.as_str(), &[&x], &[&shape]));
        nodes.push(Node::new("Reshape", format!("{y}.reshaped"), &[&result, &shape], &[&y]));
    }
    graph.node = nodes;
}

/// Tensors whose axes after the second have a length of 1.
fn tensors_of_one_axis(graph: &Graph) -> HashSet<String> {
    let stated = graph.value_info.iter().chain(&graph.output).filter(|info| {
        let rest = info.dims().map(|dims| dims.into_iter().skip(2).filter(|length| *length != Some(1)).count());
        rest == Some(0)
    });
    let mut found: HashSet<String> = stated.map(|info| info.name().to_owned()).collect();
    for node in graph.node.iter().filter(|node| node.is_standard()) {
        let kept = match node.op() {
            "Flatten" => node.int("axis").unwrap_or(1) == 1,
            "Gemm" | "GlobalAveragePool" | "GlobalMaxPool" => true,
            "Add" | "BatchNormalization" | "Clip" | "Div" | "Dropout" | "Identity" | "MatMul" | "Mul" | "Relu"
            | "Sub" => node.input.first().is_some_and(|x| found.contains(x)),
            "Softmax" | "LogSoftmax" | "Hardmax" => node.output.iter().any(|y| found.contains(y)),
            _ => false,
        };
        if kept {
            let same = if is_softmax(node) { &node.input } else { &node.output };
            found.extend(same.first().cloned());
        }
    }
    found
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

/// Further outputs of `BatchNormalization` said that it was training, and there were two more of them. Before operator set
/// 7, an attribute said so.
fn upgrade_batch_statistics(node: &mut Node, from: i64) {
    if from < 7 {
        node.output.truncate(1);
        return;
    }
    node.output.truncate(3);
    node.attribute.push(Attribute::from_int("training_mode", 1));
}
