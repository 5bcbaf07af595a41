//! Ops that exporters write out as several, recognised as one.
//!
//! Their gradient in one piece is shorter. And it reads nothing between them, so that a runtime can
//! still fuse them, and the model's outputs stay what they were bit for bit.

use std::collections::HashMap;

use crate::onnx::GraphIndex;
use crate::onnx::proto::Node;

/// `y = x/2 (1 + erf(x/√2))`: where it ends, and what goes in.
pub struct Gelu<'m> {
    pub x: &'m str,
    /// The places of the nodes before the last one.
    inner: Vec<usize>,
}

/// All GELUs of a model, by the place of their last node.
pub struct WrittenOut<'m> {
    gelus: HashMap<usize, Gelu<'m>>,
}

impl<'m> WrittenOut<'m> {
    /// Those of which no inner tensor is `target` or is read from outside.
    pub fn find(index: &GraphIndex<'m>, target: &str) -> Self {
        let readers = index.readers();
        let erfs = index.graph.node.iter().enumerate().filter(|(_, node)| node.op() == "Erf");
        let closed = |place: usize, gelu: &Gelu| {
            let inside = |reader: &usize| *reader == place || gelu.inner.contains(reader);
            gelu.inner.iter().flat_map(|&inner| &index.graph.node[inner].output).all(|made| {
                let read = readers.get(made.as_str());
                made != target
                    && read.is_some_and(|read| read.iter().all(inside))
                    && !index.graph.output.iter().any(|o| o.name() == made)
            })
        };
        let gelus = erfs.filter_map(|(place, erf)| gelu_around(index, &readers, place, erf));
        Self { gelus: gelus.filter(|(place, gelu)| closed(*place, gelu)).collect() }
    }

    pub fn ending_at(&self, place: usize) -> Option<&Gelu<'m>> {
        self.gelus.get(&place)
    }
}

fn near(value: Option<f32>, wanted: f32) -> bool {
    value.is_some_and(|v| (v - wanted).abs() < 1e-4)
}

/// The GELU that an `Erf` is a part of, however its three factors are grouped.
fn gelu_around<'m>(
    index: &GraphIndex<'m>,
    readers: &HashMap<&str, Vec<usize>>,
    place: usize,
    erf: &'m Node,
) -> Option<(usize, Gelu<'m>)> {
    let number = |tensor: &str| index.constant(tensor).filter(|t| t.dims.iter().product::<i64>() == 1)?.first_f32();
    let only_reader = |tensor: &str| match readers.get(tensor).map(Vec::as_slice) {
        Some([place]) => Some(*place),
        _ => None,
    };
    let other = |node: &'m Node, tensor: &str| node.input.iter().map(String::as_str).find(|i| *i != tensor);

    let scaled = erf.input.first()?;
    let scaling = index.producer(scaled)?;
    let node = &index.graph.node[scaling];
    let x = match node.op() {
        "Div" if near(number(node.input.get(1)?), std::f32::consts::SQRT_2) => node.input[0].as_str(),
        "Mul" => node.input.iter().find(|i| near(other(node, i).and_then(number), std::f32::consts::FRAC_1_SQRT_2))?,
        _ => return None,
    };
    let adding = only_reader(erf.output.first()?)?;
    let node = &index.graph.node[adding];
    if node.op() != "Add" || !near(other(node, &erf.output[0]).and_then(number), 1.0) {
        return None;
    }
    // What is left is a product of 1 + erf, x and 1/2, in two nodes.
    let mut inner = vec![scaling, place, adding];
    let mut tensor = node.output.first()?.as_str();
    let (mut has_x, mut has_half) = (false, false);
    loop {
        let multiplying = only_reader(tensor)?;
        let node = &index.graph.node[multiplying];
        let factor = other(node, tensor).filter(|_| node.op() == "Mul")?;
        match index.producer_node(factor) {
            _ if factor == x => has_x = true,
            _ if near(number(factor), 0.5) => has_half = true,
            Some(half) if half.op() == "Mul" && half.input.iter().any(|i| i == x) => {
                if !near(other(half, x).and_then(number), 0.5) {
                    return None;
                }
                inner.push(index.producer(factor)?);
                (has_x, has_half) = (true, true);
            }
            _ => return None,
        }
        if has_x && has_half {
            return Some((multiplying, Gelu { x, inner }));
        }
        inner.push(multiplying);
        tensor = node.output.first()?;
    }
}
