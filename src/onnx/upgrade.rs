//! Brings a graph of operator set 13 to 17 to 18, so that every other part sees one form of an op.
//!
//! Between the two only reductions changed in a way that old nodes feel: their axes moved from an
//! attribute to an input (<https://onnx.ai/onnx/operators/onnx__ReduceMean.html>).

use super::proto::{Graph, Tensor};

const REDUCTIONS_CHANGED_IN_18: &[&str] = &[
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSumSquare",
];

pub fn to_working_opset(graph: &mut Graph) {
    for (place, node) in graph.node.iter_mut().enumerate() {
        if !REDUCTIONS_CHANGED_IN_18.contains(&node.op()) {
            continue;
        }
        let Some(at) = node.attribute.iter().position(|a| a.name() == "axes") else { continue };
        let axes = node.attribute.remove(at).ints;
        let name = format!("whycam.upgrade.{place}.axes");
        graph.initializer.push(Tensor::from_i64s(&name, &[axes.len() as i64], &axes));
        node.input.push(name);
    }
}
