//! The same moves of other numbers.

use std::collections::HashMap;
use std::slice;

use super::moves::Moves;
use crate::grad::graph_writer::GraphWriter;
use crate::grad::value::Value;
use crate::onnx::proto::{Attribute, Node};

/// What is put in place of a tensor that numbers come from.
pub type Replacement<'a, 'w> = dyn FnMut(&str) -> Option<Value<'w>> + 'a;

impl<'m> Moves<'m> {
    /// Every tensor that the numbers of `tensor` come from, in the order in which they are met. Ops that choose by other
    /// numbers are passed as well.
    pub fn sources(&self, tensor: &'m str) -> Vec<&'m str> {
        let (mut found, mut open) = (Vec::new(), vec![tensor]);
        let mut seen = std::collections::HashSet::new();
        while let Some(tensor) = open.pop() {
            if !seen.insert(tensor) {
                continue;
            }
            match self.index.producer_node(tensor).filter(|node| self.is_move(node, tensor)) {
                Some(node) => open.extend(moved(node).iter().rev().map(String::as_str)),
                None => found.push(tensor),
            }
        }
        found
    }

    /// The tensor that the moves before `tensor` make if the tensors that its numbers come from are replaced. Returns
    /// `tensor` itself if none is.
    pub fn rebuild<'w>(
        &self,
        writer: &'w GraphWriter<'w>,
        tensor: &str,
        replace: &mut Replacement<'_, 'w>,
    ) -> Value<'w> {
        self.rebuilt(writer, tensor, replace, &mut HashMap::new()).unwrap_or_else(|| writer.tensor(tensor))
    }

    /// A tensor with the numbers before their sigmoid or softmax.
    pub fn logits<'w>(&self, writer: &'w GraphWriter<'w>, tensor: &str) -> Value<'w> {
        self.rebuild(writer, tensor, &mut |source| match self.before_probability(source) {
            Some((x, _)) => Some(writer.tensor(x)),
            None => self.probable_factor(source).map(|factor| self.logits(writer, factor)),
        })
    }

    fn rebuilt<'w>(
        &self,
        writer: &'w GraphWriter<'w>,
        tensor: &str,
        replace: &mut Replacement<'_, 'w>,
        known: &mut HashMap<String, Option<Value<'w>>>,
    ) -> Option<Value<'w>> {
        if let Some(known) = known.get(tensor) {
            return *known;
        }
        let made = match self.index.producer(tensor) {
            Some(at) if self.is_move(&self.index.graph.node[at], tensor) => {
                let node = &self.index.graph.node[at];
                let mut parts = Vec::new();
                for part in moved(node) {
                    parts.push(self.rebuilt(writer, part, replace, known));
                }
                if parts.iter().all(Option::is_none) {
                    None
                } else {
                    let parts = moved(node).iter().zip(parts);
                    let parts: Vec<Value> = parts.map(|(was, now)| now.unwrap_or_else(|| writer.tensor(was))).collect();
                    self.moved_again(writer, at, tensor, &parts)
                }
            }
            _ => replace(tensor),
        };
        known.insert(tensor.to_owned(), made);
        made
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
            "Cast" | "DequantizeLinear" | "Dropout" | "Identity" | "QuantizeLinear" => *first,
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
            "ReduceMax" => {
                let axis = Attribute::from_int("axis", self.reduced_axis(node)? as i64);
                let largest = writer.tensor(node.input.first()?.as_str()).apply("ArgMax", &[], slice::from_ref(&axis));
                first.apply("GatherElements", &[largest], &[axis]).reshape_to(writer.tensor(tensor).shape())
            }
            op => first.apply(op, &read(1).collect::<Vec<_>>(), &node.attribute),
        })
    }

    /// Whether a choice of some of the rows is among what a tensor depends on.
    pub fn chooses(&self, tensor: &str) -> bool {
        let chooses = |at: &usize| matches!(self.index.graph.node[*at].op(), "NonMaxSuppression" | "NonZero" | "TopK");
        self.index.ancestors(tensor).iter().any(chooses)
    }

    /// How many numbers the largest is taken of on the way to a tensor, such as the scores of classes.
    pub fn reduced_classes(&self, tensor: &'m str) -> Option<usize> {
        let (mut open, mut seen) = (vec![tensor], std::collections::HashSet::new());
        while let Some(tensor) = open.pop() {
            let Some(node) = self.index.producer_node(tensor).filter(|node| self.is_move(node, tensor)) else {
                continue;
            };
            if node.op() == "ReduceMax" {
                return self.shape(node.input.first()?).get(self.reduced_axis(node)?).copied();
            }
            open.extend(moved(node).iter().map(String::as_str).filter(|tensor| seen.insert(*tensor)));
        }
        None
    }

    /// Whether every number of an output of a node is one that the node takes, or that number rounded.
    fn is_move(&self, node: &Node, output: &str) -> bool {
        let moves = match node.op() {
            "Cast" | "Concat" | "DequantizeLinear" | "Dropout" | "Flatten" | "Gather" | "GatherElements"
            | "GatherND" | "Identity" | "Pad" | "QuantizeLinear" | "Reshape" | "Slice" | "Split" | "Squeeze"
            | "Transpose" | "Unsqueeze" => true,
            "ReduceMax" => self.reduced_axis(node).is_some(),
            "TopK" => node.output.first().is_some_and(|values| values == output),
            _ => false,
        };
        moves && node.is_standard()
    }
}

/// The inputs whose numbers a node moves.
fn moved(node: &Node) -> &[String] {
    if node.op() == "Concat" { &node.input } else { &node.input[..node.input.len().min(1)] }
}
