//! GELUs that an exporter decomposed into several ops.
//!
//! Their gradient as one op is shorter. It reads none of the tensors between the ops, so that a runtime can still
//! fuse the ops and the model's outputs keep every bit.

use std::collections::HashMap;
use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};

use crate::onnx::GraphIndex;
use crate::onnx::proto::{Node, Tensor};

/// `y = x/2 (1 + erf(x/√2))` as several nodes.
pub struct Gelu<'m> {
    /// The input.
    pub x: &'m str,
    /// The indices of the nodes before the last.
    inner: Vec<usize>,
}

/// The decomposed GELUs of a model, by the index of their last node.
pub struct DecomposedGelus<'m> {
    gelus: HashMap<usize, Gelu<'m>>,
}

impl<'m> DecomposedGelus<'m> {
    /// Finds those whose inner tensors are neither `target` nor read by other nodes.
    pub fn find(index: &GraphIndex<'m>, target: &str) -> Self {
        let matcher = Matcher { index, readers: index.readers() };
        let erfs = index.graph.node.iter().enumerate().filter(|(_, node)| node.op() == "Erf");
        let gelus = erfs.filter_map(|(erf, _)| matcher.gelu_around(erf));
        Self { gelus: gelus.filter(|(last, gelu)| matcher.is_closed(*last, gelu, target)).collect() }
    }

    /// The GELU whose last node has this index.
    pub fn ending_at(&self, index: usize) -> Option<&Gelu<'m>> {
        self.gelus.get(&index)
    }
}

/// A graph, with the readers of its tensors.
struct Matcher<'i, 'm> {
    index: &'i GraphIndex<'m>,
    readers: HashMap<&'m str, Vec<usize>>,
}

impl<'m> Matcher<'_, 'm> {
    /// The GELU that contains the node `erf`, and the index of its last node.
    fn gelu_around(&self, erf: usize) -> Option<(usize, Gelu<'m>)> {
        let (scaling, x) = self.scaled_input(erf)?;
        let adding = self.only_reader(self.output_of(erf)?)?;
        let sum = self.node(adding);
        if sum.op() != "Add" || !self.is_number(other_input(sum, self.output_of(erf)?), 1.0) {
            return None;
        }
        // Two nodes multiply 1 + erf(x/√2), x and 1/2, grouped in any way.
        let mut inner = vec![scaling, erf, adding];
        let (mut has_x, mut has_half) = (false, false);
        loop {
            let tensor = self.output_of(*inner.last()?)?;
            let multiplying = self.only_reader(tensor)?;
            let node = self.node(multiplying);
            let factor = other_input(node, tensor).filter(|_| node.op() == "Mul")?;
            if factor == x {
                has_x = true;
            } else if self.is_number(Some(factor), 0.5) {
                has_half = true;
            } else {
                inner.push(self.halving(factor, x)?);
                (has_x, has_half) = (true, true);
            }
            if has_x && has_half {
                return Some((multiplying, Gelu { x, inner }));
            }
            inner.push(multiplying);
        }
    }

    /// The node that computes `x/√2` for the node `erf`, and `x`.
    fn scaled_input(&self, erf: usize) -> Option<(usize, &'m str)> {
        let scaling = self.index.producer(self.node(erf).input.first()?)?;
        let node = self.node(scaling);
        let x = match node.op() {
            "Div" if self.is_number(node.input.get(1).map(String::as_str), SQRT_2) => node.input.first()?,
            "Mul" => node.input.iter().find(|i| self.is_number(other_input(node, i), FRAC_1_SQRT_2))?,
            _ => return None,
        };
        Some((scaling, x.as_str()))
    }

    /// The node that computes `x/2` as `tensor`.
    fn halving(&self, tensor: &str, x: &str) -> Option<usize> {
        let index = self.index.producer(tensor)?;
        let node = self.node(index);
        let halves = node.op() == "Mul" && node.input.iter().any(|i| i == x);
        (halves && self.is_number(other_input(node, x), 0.5)).then_some(index)
    }

    /// Whether no tensor between the nodes is `target`, an output of the model, or read by another node.
    fn is_closed(&self, last: usize, gelu: &Gelu, target: &str) -> bool {
        let inside = |reader: &usize| *reader == last || gelu.inner.contains(reader);
        gelu.inner.iter().flat_map(|&inner| &self.node(inner).output).all(|made| {
            made != target
                && self.readers.get(made.as_str()).is_some_and(|readers| readers.iter().all(inside))
                && !self.index.graph.output.iter().any(|o| o.name() == made)
        })
    }

    fn node(&self, index: usize) -> &'m Node {
        &self.index.graph.node[index]
    }

    fn output_of(&self, index: usize) -> Option<&'m str> {
        self.node(index).output.first().map(String::as_str)
    }

    fn only_reader(&self, tensor: &str) -> Option<usize> {
        match self.readers.get(tensor)?.as_slice() {
            [reader] => Some(*reader),
            _ => None,
        }
    }

    /// Whether a tensor is a constant of one element that equals `number`, rounding aside.
    fn is_number(&self, tensor: Option<&str>, number: f32) -> bool {
        let constant = tensor.and_then(|tensor| self.index.constant(tensor));
        let single = constant.filter(|constant| constant.dims.iter().product::<i64>() == 1);
        single.and_then(Tensor::first_f32).is_some_and(|value| (value - number).abs() < 1e-4)
    }
}

/// The first input of a node that is not `tensor`.
fn other_input<'m>(node: &'m Node, tensor: &str) -> Option<&'m str> {
    node.input.iter().map(String::as_str).find(|input| *input != tensor)
}
