//! A model seen as layers: which tensors hold maps, and what follows what.

use std::collections::{HashMap, HashSet};

use super::candidate::Candidate;
use crate::grad::axes::Axes;
use crate::grad::rules::OpKind;
use crate::onnx::proto::Node;
use crate::onnx::{DataType, GraphIndex, OnnxModel, Tensors};

/// The nodes between the input and the tensor that the scores are made of.
pub struct Layers<'m> {
    pub model: &'m OnnxModel,
    pub index: GraphIndex<'m>,
    pub axes: Axes<'m>,
    /// All tensors that depend on the picture.
    dependents: HashSet<&'m str>,
    /// The indices of the nodes that the scores depend on.
    ancestors: HashSet<usize>,
    /// The tensors that hold a map of more than one cell, first to last.
    pub candidates: Vec<Candidate>,
}

impl<'m> Layers<'m> {
    /// `scores` is the tensor that the scores are made of. Returns `None` for a model without an input.
    pub fn new(model: &'m OnnxModel, tensors: &'m Tensors, scores: &str, channels_last: bool) -> Option<Self> {
        let input = model.graph().true_inputs().next()?.name();
        let index = GraphIndex::new(model.graph());
        let mut layers = Self {
            model,
            axes: Axes::trace(model, tensors, input, channels_last),
            dependents: index.dependents(input),
            ancestors: index.ancestors(scores),
            index,
            candidates: Vec::new(),
        };
        layers.candidates = layers.find_candidates(tensors);
        Some(layers)
    }

    fn find_candidates(&self, tensors: &Tensors) -> Vec<Candidate> {
        let depths = self.depths();
        let mut candidates = Vec::new();
        for (_, node) in self.on_path() {
            for tensor in &node.output {
                let info = tensors.get(tensor).filter(|t| t.kind.is_none_or(DataType::is_float));
                let (Some(info), Some(layout)) = (info, self.axes.layout(tensor)) else { continue };
                candidates.push(Candidate {
                    tensor: tensor.clone(),
                    node: node.label().to_owned(),
                    op: node.op().to_owned(),
                    kind: OpKind::of(node),
                    shape: info.shape.clone(),
                    layout,
                    depth: depths.get(tensor.as_str()).copied().unwrap_or(0),
                });
            }
        }
        candidates
    }

    /// The nodes between the input and the scores, with their indices.
    pub fn on_path(&self) -> impl DoubleEndedIterator<Item = (usize, &'m Node)> {
        let nodes = self.model.graph().node.iter().enumerate();
        nodes.filter(|(index, node)| self.ancestors.contains(index) && !self.traced_inputs(node).is_empty())
    }

    /// The inputs of a node that depend on the picture.
    pub fn traced_inputs(&self, node: &'m Node) -> Vec<&'m str> {
        node.input.iter().map(String::as_str).filter(|i| self.dependents.contains(i)).collect()
    }

    fn depths(&self) -> HashMap<&'m str, usize> {
        let mut depths: HashMap<&str, usize> = HashMap::new();
        for (_, node) in self.on_path() {
            let before = node.input.iter().filter_map(|i| depths.get(i.as_str())).max().copied().unwrap_or(0);
            let constant = |input: &String| !self.dependents.contains(input.as_str());
            let weighted = OpKind::of(node) == OpKind::Product && node.input.iter().take(2).any(constant);
            depths.extend(node.output.iter().map(|output| (output.as_str(), before + usize::from(weighted))));
        }
        depths
    }

    /// The position of a tensor among the candidates.
    pub fn candidate(&self, tensor: &str) -> Option<usize> {
        self.candidates.iter().position(|c| c.tensor == tensor)
    }

    /// The kind of the op that made a candidate.
    pub fn kind(&self, position: usize) -> OpKind {
        self.candidates[position].kind
    }

    /// Whether the scores depend on a node by a path that passes none of the nodes `barred`.
    pub fn reaches_the_scores(&self, from: usize, barred: &HashSet<usize>) -> bool {
        let nodes = &self.model.graph().node;
        let mut reached: HashSet<&str> = nodes[from].output.iter().map(String::as_str).collect();
        for (index, node) in self.on_path().filter(|(index, _)| *index > from && !barred.contains(index)) {
            if node.input.iter().any(|i| reached.contains(i.as_str())) {
                reached.extend(nodes[index].output.iter().map(String::as_str));
            }
        }
        let end = self.ancestors.iter().max();
        end.is_some_and(|&end| nodes[end].output.iter().any(|o| reached.contains(o.as_str())))
    }

    /// The tensors that every path from the input to the scores passes: nothing made before them is used after them.
    pub fn bottlenecks(&self) -> HashSet<&'m str> {
        let mut last_use: HashMap<&str, usize> = HashMap::new();
        for (index, node) in self.on_path() {
            last_use.extend(self.traced_inputs(node).into_iter().map(|tensor| (tensor, index)));
        }
        let mut found = HashSet::new();
        let mut needed_until = 0;
        for (index, node) in self.on_path() {
            let mut used = node.output.iter().filter(|o| last_use.contains_key(o.as_str()));
            if let Some(tensor) = used.next()
                && used.next().is_none()
                && needed_until <= index
            {
                found.insert(tensor.as_str());
            }
            let until = node.output.iter().filter_map(|o| last_use.get(o.as_str())).max();
            needed_until = needed_until.max(until.copied().unwrap_or(0));
        }
        found
    }

    /// Whether a tensor is the sum of two tensors that both depend on the picture.
    pub fn is_residual(&self, tensor: &str) -> bool {
        self.index.producer_node(tensor).is_some_and(|node| node.op() == "Add" && self.traced_inputs(node).len() == 2)
    }
}
