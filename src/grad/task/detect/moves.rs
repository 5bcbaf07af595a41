//! Ops that move numbers and leave them unchanged but for rounding: where a number comes from.

use super::detection::Detection;
use crate::grad::task::outputs::{decomposed_sigmoid, decomposed_softmax};
use crate::onnx::proto::Node;
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

    /// Where the first number of a tensor comes from.
    pub fn origin_of_first(&self, tensor: &'m str) -> &'m str {
        self.origin(tensor, &vec![0; self.shape(tensor).len()]).tensor
    }

    /// As [`Moves::origin`], past sigmoids, softmaxes, products and limits as well.
    pub fn logit_origin(&self, tensor: &'m str, at: &[usize]) -> Origin<'m> {
        let mut origin = self.origin(tensor, at);
        while let Some(before) = self
            .before_probability(origin.tensor)
            .map(|(x, _)| x)
            .or_else(|| self.probable_factor(origin.tensor))
            .or_else(|| {
                let clip = self.index.producer_node(origin.tensor).filter(|node| node.op() == "Clip");
                clip.and_then(|node| node.input.first()).map(String::as_str)
            })
        {
            origin = self.origin(before, &origin.at);
        }
        origin
    }

    /// The probabilities, of the same shape, that scores are a product of, such as that with objectness or centreness, or
    /// their root, or that they are limited from.
    pub fn probable_factor(&self, scores: &str) -> Option<&'m str> {
        let node = self.index.producer_node(scores)?;
        let known = matches!(node.op(), "Clip" | "Max" | "Min" | "Mul" | "Sqrt" | "Where");
        let factors = node.input.iter().filter(|input| known && self.shape(input) == self.shape(scores));
        factors.map(String::as_str).find(|factor| self.leads_to_probability(factor))
    }

    /// Whether a sigmoid or softmax is among what a tensor's numbers come from.
    pub fn leads_to_probability(&self, tensor: &str) -> bool {
        let known = self.index.producer_node(tensor).and_then(|node| node.output.iter().find(|name| *name == tensor));
        let is_one =
            |source: &&str| self.before_probability(source).is_some() || self.probable_factor(source).is_some();
        known.is_some_and(|tensor| self.sources(tensor).iter().any(is_one))
    }

    /// As [`Moves::origin`], past ops that choose by other numbers as well: one of the numbers that they may choose.
    pub fn chosen_origin(&self, tensor: &'m str, at: &[usize]) -> Origin<'m> {
        let mut origin = self.origin(tensor, at);
        while let Some(before) = self.chosen_from(&origin) {
            origin = self.origin(before.tensor, &before.at);
        }
        origin
    }

    fn chosen_from(&self, Origin { tensor, at }: &Origin<'m>) -> Option<Origin<'m>> {
        let node = self.index.producer_node(tensor)?;
        let first = node.input.first()?;
        let (x, y) = (self.shape(first), self.shape(tensor));
        let indices = || node.input.get(1).map(|indices| self.shape(indices));
        let before = match node.op() {
            "GatherElements" => with_zero(at, axis_of(node, x.len())?),
            "TopK" => with_zero(at, usize::try_from(node.int("axis").unwrap_or(-1).rem_euclid(x.len() as i64)).ok()?),
            "Gather" => {
                let axis = axis_of(node, x.len())?;
                [at.get(..axis)?, &[0], at.get(axis + indices()?.len()..)?].concat()
            }
            "GatherND" => {
                let (indices, batch) = (indices()?, usize::try_from(node.int("batch_dims").unwrap_or(0)).ok()?);
                let (length, others) = indices.split_last()?;
                [at.get(..batch)?, &vec![0; *length], at.get(others.len()..)?].concat()
            }
            "Pad" => at.iter().zip(x.iter().zip(y)).map(|(at, (x, y))| if x == y { *at } else { 0 }).collect(),
            "ReduceMax" => {
                let axis = self.reduced_axis(node)?;
                [at.get(..axis)?, &[0], at.get(axis + usize::from(x.len() == y.len())..)?].concat()
            }
            _ => return None,
        };
        (before.len() == x.len()).then_some(Origin { tensor: first, at: before })
    }

    /// The axis of a reduction over one axis.
    pub fn reduced_axis(&self, node: &Node) -> Option<usize> {
        let rank = self.shape(node.input.first()?).len();
        let given = || self.tensors.get(node.input.get(1)?)?.integers.as_deref();
        let [axis] = node.ints("axes").or_else(given)? else { return None };
        usize::try_from(axis.rem_euclid(rank.max(1) as i64)).ok()
    }

    /// Whether a tensor is what a layer with weights gives; of rounded numbers, after its scale and bias.
    pub fn is_of_layer(&self, tensor: &str) -> bool {
        let Some(node) = self.index.producer_node(tensor) else { return false };
        if matches!(node.op(), "Conv" | "ConvInteger" | "Gemm" | "MatMul" | "MatMulInteger") {
            return true;
        }
        let mut node = Some(node);
        for op in ["Add", "Mul", "Cast"] {
            if node.is_some_and(|node| node.op() == op) {
                node = node.and_then(|node| self.before_flat(node));
            }
        }
        node.is_some_and(|node| matches!(node.op(), "ConvInteger" | "MatMulInteger"))
    }

    /// The node that makes the larger input of a node, if the other input is one number, or one for each channel.
    fn before_flat(&self, node: &Node) -> Option<&'m Node> {
        let flat = |tensor: &String| {
            let shape = self.shape(tensor);
            shape.len() < 2 || shape.iter().rev().take(2).all(|length| *length == 1)
        };
        let larger = node.input.iter().max_by_key(|input| self.shape(input).iter().product::<usize>())?;
        let others = node.input.iter().filter(|input| *input != larger);
        others.into_iter().all(flat).then(|| self.index.producer_node(larger)).flatten()
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
            "Identity" | "Cast" | "Dropout" | "QuantizeLinear" | "DequantizeLinear" => from(first, at.clone()),
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => {
                // A choice may leave no rows. Then it is the row that there would be.
                let [x, y] = [x, y].map(|shape| shape.iter().map(|length| (*length).max(1)).collect::<Vec<_>>());
                from(first, unravelled(ravelled(at, &y), &x)?)
            }
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

fn with_zero(at: &[usize], axis: usize) -> Vec<usize> {
    at.iter().enumerate().map(|(other, at)| if other == axis { 0 } else { *at }).collect()
}

pub(super) fn axis_of(node: &Node, rank: usize) -> Option<usize> {
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
