//! Which node produces a tensor, and which nodes read it.

use std::collections::{HashMap, HashSet};

use super::proto::{Graph, Node, Tensor, ValueInfo};

/// A graph indexed by tensor name. A node is identified by its index in `Graph::node`, which is in topological order.
pub struct GraphIndex<'g> {
    pub graph: &'g Graph,
    producers: HashMap<&'g str, usize>,
    initializers: HashMap<&'g str, &'g Tensor>,
}

impl<'g> GraphIndex<'g> {
    pub fn new(graph: &'g Graph) -> Self {
        let mut producers = HashMap::new();
        for (index, node) in graph.node.iter().enumerate() {
            for output in node.output.iter().filter(|o| !o.is_empty()) {
                producers.insert(output.as_str(), index);
            }
        }
        let initializers = graph.initializer.iter().map(|t| (t.name(), t)).collect();
        Self { graph, producers, initializers }
    }

    /// The index of the node that produces `tensor`; `None` for an input or initializer.
    pub fn producer(&self, tensor: &str) -> Option<usize> {
        self.producers.get(tensor).copied()
    }

    /// The node that produces `tensor`; `None` for an input or initializer.
    pub fn producer_node(&self, tensor: &str) -> Option<&'g Node> {
        self.producer(tensor).map(|index| &self.graph.node[index])
    }

    /// The value of an initializer or a Constant node.
    pub fn constant(&self, tensor: &str) -> Option<&'g Tensor> {
        if let Some(value) = self.initializers.get(tensor) {
            return Some(value);
        }
        let node = self.producer_node(tensor).filter(|n| n.op() == "Constant")?;
        node.attribute("value")?.t.as_ref()
    }

    /// The indices of the nodes that read each tensor.
    pub fn readers(&self) -> HashMap<&'g str, Vec<usize>> {
        let mut readers: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, node) in self.graph.node.iter().enumerate() {
            for input in node.input.iter().map(String::as_str).chain(node.captured()) {
                readers.entry(input).or_default().push(index);
            }
        }
        readers
    }

    /// The indices of all nodes that `tensor` depends on.
    pub fn ancestors(&self, tensor: &str) -> HashSet<usize> {
        let mut found = HashSet::new();
        let mut open: Vec<usize> = self.producer(tensor).into_iter().collect();
        while let Some(index) = open.pop() {
            if found.insert(index) {
                let node = &self.graph.node[index];
                let used = node.input.iter().map(String::as_str).chain(node.captured());
                open.extend(used.filter_map(|i| self.producer(i)));
            }
        }
        found
    }

    /// Whether the values of `tensor` depend on the values of `input`, not only on its shape.
    pub fn depends_on_values(&self, tensor: &str, input: &str) -> bool {
        let of_shape =
            |tensor: &str| self.producer_node(tensor).is_some_and(|node| matches!(node.op(), "Shape" | "Size"));
        let ended = self.walk_back(tensor, |tensor| match tensor {
            _ if tensor == input => Step::End,
            _ if of_shape(tensor) => Step::Skip,
            _ => Step::On,
        });
        ended == Walk::Ended
    }

    /// Walks from a tensor to all that it is made from, each once.
    pub fn walk_back(&self, tensor: &str, mut step: impl FnMut(&str) -> Step) -> Walk {
        let (mut open, mut seen) = (vec![tensor], HashSet::new());
        while let Some(tensor) = open.pop() {
            if !seen.insert(tensor) {
                continue;
            }
            match step(tensor) {
                Step::On => {}
                Step::Skip => continue,
                Step::End => return Walk::Ended,
            }
            if let Some(node) = self.producer_node(tensor) {
                open.extend(node.input.iter().map(String::as_str).chain(node.captured()));
            }
        }
        Walk::Whole
    }

    /// All tensors that depend on `tensor`, including itself.
    pub fn dependents(&self, tensor: &str) -> HashSet<&'g str> {
        let mut found = HashSet::new();
        for (index, node) in self.graph.node.iter().enumerate() {
            if self.producer(tensor) == Some(index) {
                found.extend(node.output.iter().filter(|o| *o == tensor).map(String::as_str));
            } else if uses(node, |i| i == tensor || found.contains(i)) {
                found.extend(node.output.iter().filter(|o| !o.is_empty()).map(String::as_str));
            }
        }
        found.extend(self.graph.input.iter().map(ValueInfo::name).filter(|name| *name == tensor));
        found
    }
}

/// What [`GraphIndex::walk_back`] does at a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Goes on to what it is made from.
    On,
    /// Leaves that out.
    Skip,
    /// Ends the walk.
    End,
}

/// How a walk came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    Whole,
    /// By [`Step::End`].
    Ended,
}

/// Sorts nodes topologically, which ONNX requires and some converters omit. Nodes in order keep their indices.
///
/// # Errors
/// The nodes form a cycle.
pub fn sort_nodes(graph: &mut Graph) -> Result<(), String> {
    let tensors = GraphIndex::new(graph);
    let mut order: Vec<usize> = Vec::with_capacity(graph.node.len());
    let mut done = HashSet::new();
    let mut started = HashSet::new();
    for index in 0..graph.node.len() {
        let mut open = vec![index];
        while let Some(&index) = open.last() {
            if done.contains(&index) {
                open.pop();
                continue;
            }
            let node = &graph.node[index];
            let used = node.input.iter().map(String::as_str).chain(node.captured());
            let missing: Vec<usize> = used.filter_map(|i| tensors.producer(i)).filter(|p| !done.contains(p)).collect();
            if missing.is_empty() {
                done.insert(index);
                order.push(index);
                open.pop();
            } else if started.insert(index) {
                open.extend(missing.into_iter().rev());
            } else {
                return Err(format!("its node {} needs its own output", node.label()));
            }
        }
    }
    if !order.is_sorted() {
        let mut nodes: Vec<Option<Node>> = std::mem::take(&mut graph.node).into_iter().map(Some).collect();
        graph.node = order.into_iter().filter_map(|index| nodes[index].take()).collect();
    }
    Ok(())
}

fn uses(node: &Node, wanted: impl Fn(&str) -> bool) -> bool {
    node.input.iter().map(String::as_str).chain(node.captured()).any(wanted)
}
