//! Ops that move numbers and leave them unchanged: where a number comes from, and the same moves of other numbers.

use std::collections::HashMap;

use super::detection::Detection;
use crate::error::Result;
use crate::grad::graph_writer::GraphWriter;
use crate::grad::task::outputs::{decomposed_sigmoid, decomposed_softmax};
use crate::grad::value::Value;
use crate::onnx::proto::{Attribute, Node};
use crate::onnx::{GraphIndex, OnnxModel, Tensors};

/// A graph seen as moves of numbers.
pub struct Moves<'m> {
    pub index: GraphIndex<'m>,
    pub tensors: &'m Tensors,
}

/// One number of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin<'m> {
    pub tensor: &'m str,
    pub at: Vec<usize>,
}

/// What is put in place of a tensor that numbers come from.
pub type Replacement<'a, 'w> = dyn FnMut(&str) -> Result<Option<Value<'w>>> + 'a;

impl<'m> Moves<'m> {
    pub fn new(model: &'m OnnxModel, tensors: &'m Tensors) -> Self {
        Self { index: GraphIndex::new(model.graph()), tensors }
    }

    pub fn shape(&self, tensor: &str) -> &'m [usize] {
        self.tensors.get(tensor).map_or(&[], |info| &info.shape)
    }

    /// The op that makes a tensor; empty for an input.
    pub fn op(&self, tensor: &str) -> &'m str {
        self.index.producer_node(tensor).map_or("", Node::op)
    }

    /// The tensor `x` where `tensor` holds `sigmoid(x)` or `softmax(x)`, and whether it is the softmax.
    pub fn before_probability(&self, tensor: &str) -> Option<(&'m str, bool)> {
        let node = self.index.producer_node(tensor)?;
        if let Some(x) = decomposed_softmax(&self.index, node) {
            return Some((x, true));
        }
        if let Some(x) = decomposed_sigmoid(&self.index, node) {
            return Some((x, false));
        }
        let x = node.input.first()?;
        match node.op() {
            "Softmax" => Some((x, true)),
            "Sigmoid" => Some((x, false)),
            _ => None,
        }
    }

    /// Where a number of a tensor comes from: the first op on the way back that does more than move it, or that moves it
    /// by other numbers.
    pub fn origin(&self, tensor: &'m str, at: &[usize]) -> Origin<'m> {
        let mut origin = Origin { tensor, at: at.to_vec() };
        while let Some(before) = self.step(&origin) {
            origin = before;
        }
        origin
    }

    /// As [`Moves::origin`], past sigmoids, softmaxes and limits as well.
    pub fn logit_origin(&self, tensor: &'m str, at: &[usize]) -> Origin<'m> {
        let mut origin = self.origin(tensor, at);
        while let Some(before) = self.before_probability(origin.tensor).map(|(x, _)| x).or_else(|| {
            let clip = self.index.producer_node(origin.tensor).filter(|node| node.op() == "Clip");
            clip.and_then(|node| node.input.first()).map(String::as_str)
        }) {
            origin = self.origin(before, &origin.at);
        }
        origin
    }

    fn step(&self, origin: &Origin<'m>) -> Option<Origin<'m>> {
        let Origin { tensor, at } = origin;
        let node = self.index.producer_node(tensor)?;
        let first = node.input.first()?;
        let (x, y) = (self.shape(first), self.shape(tensor));
        if y.len() != at.len() {
            return None;
        }
        let from = |tensor: &'m str, at: Vec<usize>| Some(Origin { tensor, at });
        match node.op() {
            "Identity" | "Cast" | "Dropout" => from(first, at.clone()),
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => from(first, unravelled(ravelled(at, y), x)?),
            "Transpose" => from(first, transposed(node, at)?),
            "Concat" => {
                let axis = axis_of(node, y.len())?;
                let mut within = at.clone();
                for part in &node.input {
                    let length = *self.shape(part).get(axis)?;
                    if within[axis] < length {
                        return from(part, within);
                    }
                    within[axis] -= length;
                }
                None
            }
            "Split" => {
                let (axis, before) = self.before_part(node, tensor)?;
                let mut whole = at.clone();
                whole[axis] += before;
                from(first, whole)
            }
            "Slice" => {
                let integers = |input: usize| self.tensors.get(node.input.get(input)?)?.integers.as_deref();
                let (starts, axes) = (integers(1)?, integers(3)?);
                let steps = integers(4).map_or_else(|| vec![1; starts.len()], <[i64]>::to_vec);
                let mut whole = at.clone();
                for ((start, axis), step) in starts.iter().zip(axes).zip(steps) {
                    let axis = usize::try_from(axis.rem_euclid(x.len() as i64)).ok()?;
                    let start = if *start < 0 { start + x[axis] as i64 } else { *start };
                    let start = start.clamp(0, x[axis] as i64);
                    whole[axis] = usize::try_from(start + whole[axis] as i64 * step).ok()?;
                }
                from(first, whole)
            }
            "Gather" => {
                let chosen = node.input.get(1)?;
                let picked = self.index.constant(chosen)?.to_i64s()?;
                let (axis, rank) = (axis_of(node, x.len())?, self.shape(chosen).len());
                let number = ravelled(&at[axis..axis + rank], self.shape(chosen));
                let picked = picked.get(number)?.rem_euclid(x[axis] as i64) as usize;
                from(first, [&at[..axis], &[picked], &at[axis + rank..]].concat())
            }
            _ => None,
        }
    }

    /// The axis and the first entry of a slice along one axis without steps.
    pub(super) fn start_of_slice(&self, node: &Node) -> Option<(usize, usize)> {
        let first = self.shape(node.input.first()?);
        let integers = |input: usize| self.tensors.get(node.input.get(input)?)?.integers.as_deref();
        let ([start], [axis]) = (integers(1)?, integers(3)?) else { return None };
        if integers(4).is_some_and(|steps| steps != [1]) {
            return None;
        }
        let axis = usize::try_from(axis.rem_euclid(first.len().max(1) as i64)).ok()?;
        let start = if *start < 0 { start + first[axis] as i64 } else { *start };
        Some((axis, usize::try_from(start).ok()?.min(first[axis])))
    }

    /// The axis of a split, and how much of it lies before the part `tensor`.
    pub(super) fn before_part(&self, node: &Node, tensor: &str) -> Option<(usize, usize)> {
        let axis = axis_of(node, self.shape(tensor).len())?;
        let earlier = node.output.iter().take_while(|part| *part != tensor);
        Some((axis, earlier.map(|part| self.shape(part)[axis]).sum()))
    }

    /// Every tensor that the numbers of `tensor` come from, in the order in which they are met. Ops that choose by other
    /// numbers are passed as well.
    pub fn sources(&self, tensor: &'m str) -> Vec<&'m str> {
        let (mut found, mut open) = (Vec::new(), vec![tensor]);
        let mut seen = std::collections::HashSet::new();
        while let Some(tensor) = open.pop() {
            if !seen.insert(tensor) {
                continue;
            }
            match self.index.producer_node(tensor).filter(|node| is_move(node)) {
                Some(node) => open.extend(moved(node).iter().rev().map(String::as_str)),
                None => found.push(tensor),
            }
        }
        found
    }

    /// The tensor that the moves before `tensor` make if the tensors that its numbers come from are replaced. Returns
    /// `tensor` itself if none is.
    ///
    /// # Errors
    /// A replacement cannot be written.
    pub fn rebuild<'w>(
        &self,
        writer: &'w GraphWriter<'w>,
        tensor: &str,
        replace: &mut Replacement<'_, 'w>,
    ) -> Result<Value<'w>> {
        Ok(self.rebuilt(writer, tensor, replace, &mut HashMap::new())?.unwrap_or_else(|| writer.tensor(tensor)))
    }

    fn rebuilt<'w>(
        &self,
        writer: &'w GraphWriter<'w>,
        tensor: &str,
        replace: &mut Replacement<'_, 'w>,
        known: &mut HashMap<String, Option<Value<'w>>>,
    ) -> Result<Option<Value<'w>>> {
        if let Some(known) = known.get(tensor) {
            return Ok(*known);
        }
        let made = match self.index.producer(tensor) {
            Some(at) if is_move(&self.index.graph.node[at]) => {
                let node = &self.index.graph.node[at];
                let mut parts = Vec::new();
                for part in moved(node) {
                    parts.push(self.rebuilt(writer, part, replace, known)?);
                }
                if parts.iter().all(Option::is_none) {
                    None
                } else {
                    let parts = moved(node).iter().zip(parts);
                    let parts: Vec<Value> = parts.map(|(was, now)| now.unwrap_or_else(|| writer.tensor(was))).collect();
                    self.moved_again(writer, at, tensor, &parts)
                }
            }
            _ => replace(tensor)?,
        };
        known.insert(tensor.to_owned(), made);
        Ok(made)
    }

    /// The move of a node, of other numbers.
    fn moved_again<'w>(
        &self,
        writer: &'w GraphWriter<'w>,
        at: usize,
        tensor: &str,
        parts: &[Value<'w>],
    ) -> Option<Value<'w>> {
        let node = &self.index.graph.node[at];
        let (first, others) = parts.split_first()?;
        let read = |from: usize| node.input.iter().skip(from).map(|name| writer.tensor(name.as_str()));
        Some(match node.op() {
            "Cast" | "Dropout" | "Identity" => *first,
            "Concat" => first.apply("Concat", others, &node.attribute),
            "Split" => {
                let (axis, before) = self.before_part(node, tensor)?;
                let after = before + self.shape(tensor)[axis];
                first.slice(before as i64, after as i64, axis as i64)
            }
            "TopK" => {
                let axis = Attribute::from_int("axis", node.int("axis").unwrap_or(-1));
                first.apply("GatherElements", &[writer.extra_output(at, 1)], &[axis])
            }
            op => first.apply(op, &read(1).collect::<Vec<_>>(), &node.attribute),
        })
    }
}

/// The tensors that hold the scores of a detector whose outputs are written, before they are moved: a map for each level,
/// or one tensor of queries. First to last.
pub fn score_maps<'m>(model: &'m OnnxModel, tensors: &'m Tensors) -> Vec<&'m str> {
    let moves = Moves::new(model, tensors);
    let logits = moves.index.producer_node(Detection::LOGITS).and_then(|node| node.output.first());
    let mut maps = logits.map(|logits| moves.sources(logits)).unwrap_or_default();
    maps.sort_by_key(|map| moves.index.producer(map));
    maps
}

/// Whether every number that a node gives is one that it takes. The first output counts.
fn is_move(node: &Node) -> bool {
    node.is_standard()
        && matches!(
            node.op(),
            "Cast"
                | "Concat"
                | "Dropout"
                | "Flatten"
                | "Gather"
                | "GatherElements"
                | "GatherND"
                | "Identity"
                | "Reshape"
                | "Slice"
                | "Split"
                | "Squeeze"
                | "TopK"
                | "Transpose"
                | "Unsqueeze"
        )
}

/// The inputs whose numbers a node moves.
fn moved(node: &Node) -> &[String] {
    if node.op() == "Concat" { &node.input } else { &node.input[..node.input.len().min(1)] }
}

fn axis_of(node: &Node, rank: usize) -> Option<usize> {
    usize::try_from(node.int("axis").unwrap_or(0).rem_euclid(rank.max(1) as i64)).ok()
}

fn transposed(node: &Node, at: &[usize]) -> Option<Vec<usize>> {
    let mut before = vec![0; at.len()];
    let reversed: Vec<i64> = (0..at.len() as i64).rev().collect();
    for (&position, &axis) in at.iter().zip(node.ints("perm").unwrap_or(&reversed)) {
        *before.get_mut(usize::try_from(axis).ok()?)? = position;
    }
    Some(before)
}

/// The number of an element, counted along the last axis first.
pub fn ravelled(at: &[usize], shape: &[usize]) -> usize {
    at.iter().zip(shape).fold(0, |number, (position, length)| number * length + position)
}

fn unravelled(number: usize, shape: &[usize]) -> Option<Vec<usize>> {
    let (mut at, mut left) = (vec![0; shape.len()], number);
    for (position, &length) in at.iter_mut().zip(shape).rev() {
        *position = left.checked_rem(length)?;
        left /= length;
    }
    (left == 0).then_some(at)
}
