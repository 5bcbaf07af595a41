//! Upgrades a graph from operator sets 1 to 6 to operator set 7.
//!
//! The differences, from <https://onnx.ai/onnx/operators/>: operands were broadcast only where the attributes
//! `broadcast` and `axis` said so, `Cast` named its type, some attributes had other names, and some are gone.

use super::DataType;
use super::proto::{Attribute, Graph, Node, Tensor};

/// Attributes of no effect at inference time.
const REMOVED: &[&str] = &["consumed_inputs", "is_test"];

/// Upgrades the nodes of a graph from operator set `from` to 7.
pub fn to_opset_7(graph: &mut Graph, from: i64) {
    let mut nodes = Vec::with_capacity(graph.node.len());
    for mut node in std::mem::take(&mut graph.node) {
        if !node.is_standard() {
            nodes.push(node);
            continue;
        }
        node.attribute.retain(|a| !REMOVED.contains(&a.name()));
        let broadcast = node.take_attribute("broadcast").is_some_and(|a| a.i() != 0);
        match node.op() {
            "Add" | "And" | "Div" | "Equal" | "Greater" | "Less" | "Mul" | "Or" | "Pow" | "Sub" | "Xor" => {
                let axis = node.take_attribute("axis").map(|a| a.i());
                if let Some(axis) = axis.filter(|axis| broadcast && *axis >= 0) {
                    align(graph, &mut nodes, &mut node, axis);
                }
            }
            "PRelu" if !has_one_element(graph, node.input.get(1)) => align(graph, &mut nodes, &mut node, 1),
            "Cast" => name_to_number(&mut node),
            "Concat" if from < 4 && node.attribute("axis").is_none() => {
                node.attribute.push(Attribute::from_int("axis", 1));
            }
            "Pad" => rename(&mut node, "paddings", "pads"),
            "Upsample" => sides_to_scales(&mut node),
            _ => {}
        }
        nodes.push(node);
    }
    graph.node = nodes;
}

fn rename(node: &mut Node, old: &str, new: &str) {
    for attribute in node.attribute.iter_mut().filter(|a| a.name() == old) {
        attribute.name = Some(new.to_owned());
    }
}

fn has_one_element(graph: &Graph, name: Option<&String>) -> bool {
    let tensor = name.and_then(|name| graph.initializer.iter().find(|t| t.name() == name));
    tensor.is_some_and(|tensor| tensor.dims.iter().product::<i64>() == 1)
}

/// Appends axes of length 1 to the second operand, so that its first axis lies on `axis` of the first operand. The ranks
/// are not known here, so the graph computes them.
fn align(graph: &mut Graph, nodes: &mut Vec<Node>, node: &mut Node, axis: i64) {
    let [a, b] = match node.input.as_slice() {
        [a, b, ..] => [a.clone(), b.clone()],
        _ => return,
    };
    let base = node.output.first().cloned().unwrap_or_default();
    let name = |what: &str| format!("whycam.upgrade.{base}.{what}");
    let constant = |graph: &mut Graph, what: &str, dims: &[i64], values: &[i64]| {
        graph.initializer.push(Tensor::from_i64s(&name(what), dims, values));
    };
    constant(graph, "axis", &[], &[axis]);
    constant(graph, "vector", &[1], &[1]);
    let mut write = |op: &str, what: &str, inputs: &[&str], attributes: &[Attribute]| {
        let mut node = Node::new(op, name(what), inputs, &[&name(what)]);
        node.attribute = attributes.to_vec();
        nodes.push(node);
        name(what)
    };
    let (a_shape, b_shape) = (write("Shape", "a_shape", &[&a], &[]), write("Shape", "b_shape", &[&b], &[]));
    let (a_rank, b_rank) = (write("Size", "a_rank", &[&a_shape], &[]), write("Size", "b_rank", &[&b_shape], &[]));
    let rest = write("Sub", "rest", &[&a_rank, &name("axis")], &[]);
    let missing = write("Sub", "missing", &[&rest, &b_rank], &[]);
    let missing = write("Reshape", "count", &[&missing, &name("vector")], &[]);
    let one = Attribute::from_tensor("value", Tensor::from_i64s("", &[1], &[1]));
    let ones = write("ConstantOfShape", "ones", &[&missing], &[one]);
    let shape = write("Concat", "shape", &[&b_shape, &ones], &[Attribute::from_int("axis", 0)]);
    node.input[1] = write("Reshape", "aligned", &[&b, &shape], &[]);
}

/// `Cast` took the name of a type.
fn name_to_number(node: &mut Node) {
    let number = match node.string("to") {
        Some("FLOAT") => DataType::Float,
        Some("FLOAT16") => DataType::Float16,
        Some("DOUBLE") => DataType::Double,
        Some("INT32") => DataType::Int32,
        Some("INT64") => DataType::Int64,
        Some("INT8") => DataType::Int8,
        Some("UINT8") => DataType::Uint8,
        Some("BOOL") => DataType::Bool,
        _ => return,
    };
    node.take_attribute("to");
    node.attribute.push(Attribute::from_int("to", number as i64));
}

/// `Upsample` had an attribute a side.
fn sides_to_scales(node: &mut Node) {
    let [height, width] = ["height_scale", "width_scale"].map(|name| node.take_attribute(name).map(|a| a.f()));
    if let (Some(height), Some(width)) = (height, width) {
        node.attribute.push(Attribute::from_floats("scales", &[1.0, 1.0, height, width]));
    }
}
