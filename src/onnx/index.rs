//! Who makes a tensor and who takes it.

use std::collections::{HashMap, HashSet};

use super::proto::{Graph, Node, Tensor};

/// A view of a graph by tensor names. Nodes are named by their place in `Graph::node`, which
/// ONNX keeps in topological order.
pub struct GraphIndex<'g> {
    pub graph: &'g Graph,
    producers: HashMap<&'g str, usize>,
    initializers: HashMap<&'g str, &'g Tensor>,
}

impl<'g> GraphIndex<'g> {
    pub fn new(graph: &'g Graph) -> Self {
        let mut producers = HashMap::new();
        for (place, node) in graph.node.iter().enumerate() {
            for output in node.output.iter().filter(|o| !o.is_empty()) {
                producers.insert(output.as_str(), place);
            }
        }
        let initializers = graph.initializer.iter().map(|t| (t.name(), t)).collect();
        Self { graph, producers, initializers }
    }

    /// The place of the node that makes `tensor`, or `None` for an input or initializer.
    pub fn producer(&self, tensor: &str) -> Option<usize> {
        self.producers.get(tensor).copied()
    }

    pub fn producer_node(&self, tensor: &str) -> Option<&'g Node> {
        self.producer(tensor).map(|place| &self.graph.node[place])
    }

    /// The value of an initializer or of a Constant node.
    pub fn constant(&self, tensor: &str) -> Option<&'g Tensor> {
        if let Some(value) = self.initializers.get(tensor) {
            return Some(value);
        }
        let node = self.producer_node(tensor).filter(|n| n.op() == "Constant")?;
        node.attribute("value")?.t.as_ref()
    }

    /// The places of the nodes that read each tensor.
    pub fn readers(&self) -> HashMap<&'g str, Vec<usize>> {
        let mut readers: HashMap<&str, Vec<usize>> = HashMap::new();
        for (place, node) in self.graph.node.iter().enumerate() {
            for input in node.input.iter().map(String::as_str).chain(node.captured()) {
                readers.entry(input).or_default().push(place);
            }
        }
        readers
    }

    /// The places of all nodes that `tensor` depends on.
    pub fn ancestors(&self, tensor: &str) -> HashSet<usize> {
        let mut found = HashSet::new();
        let mut open: Vec<usize> = self.producer(tensor).into_iter().collect();
        while let Some(place) = open.pop() {
            if found.insert(place) {
                let node = &self.graph.node[place];
                let used = node.input.iter().map(String::as_str).chain(node.captured());
                open.extend(used.filter_map(|i| self.producer(i)));
            }
        }
        found
    }

    /// Whether the numbers of `tensor` depend on the numbers of `input`, and not on its shape alone.
    pub fn depends_on_values(&self, tensor: &str, input: &str) -> bool {
        let mut seen = HashSet::new();
        let mut open = vec![tensor];
        while let Some(tensor) = open.pop() {
            if tensor == input {
                return true;
            }
            let node = self.producer_node(tensor).filter(|n| !matches!(n.op(), "Shape" | "Size"));
            if let Some(node) = node.filter(|_| seen.insert(tensor)) {
                open.extend(node.input.iter().map(String::as_str).chain(node.captured()));
            }
        }
        false
    }

    /// All tensors that depend on `tensor`, itself included.
    pub fn dependents(&self, tensor: &str) -> HashSet<&'g str> {
        let mut found = HashSet::new();
        for (place, node) in self.graph.node.iter().enumerate() {
            if self.producer(tensor) == Some(place) {
                found.extend(node.output.iter().filter(|o| *o == tensor).map(String::as_str));
            } else if uses(node, |i| i == tensor || found.contains(i)) {
                found.extend(node.output.iter().filter(|o| !o.is_empty()).map(String::as_str));
            }
        }
        found.extend(self.graph.input.iter().map(super::proto::ValueInfo::name).filter(|name| *name == tensor));
        found
    }
}

/// Puts nodes in an order in which each stands behind those that it needs, as ONNX asks for and some
/// converters do not heed. Nodes that are in order stay where they are.
///
/// # Errors
/// Nodes need each other in a circle.
pub fn sort_nodes(graph: &mut Graph) -> Result<(), String> {
    let index = GraphIndex::new(graph);
    let mut order: Vec<usize> = Vec::with_capacity(graph.node.len());
    let mut done = HashSet::new();
    let mut under_way = HashSet::new();
    for place in 0..graph.node.len() {
        let mut open = vec![place];
        while let Some(&place) = open.last() {
            if done.contains(&place) {
                open.pop();
                continue;
            }
            let node = &graph.node[place];
            let used = node.input.iter().map(String::as_str).chain(node.captured());
            let missing: Vec<usize> = used.filter_map(|i| index.producer(i)).filter(|p| !done.contains(p)).collect();
            if missing.is_empty() {
                done.insert(place);
                order.push(place);
                open.pop();
            } else if under_way.insert(place) {
                open.extend(missing.into_iter().rev());
            } else {
                return Err(format!("its node {} needs its own output", node.label()));
            }
        }
    }
    if !order.is_sorted() {
        let mut nodes: Vec<Option<Node>> = std::mem::take(&mut graph.node).into_iter().map(Some).collect();
        graph.node = order.into_iter().filter_map(|place| nodes[place].take()).collect();
    }
    Ok(())
}

fn uses(node: &Node, wanted: impl Fn(&str) -> bool) -> bool {
    node.input.iter().map(String::as_str).chain(node.captured()).any(wanted)
}
