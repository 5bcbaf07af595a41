//! Cutting a model in two.

use std::collections::HashSet;

use super::proto::{Graph, Node, ValueInfo};
use super::{DataType, GraphIndex, OnnxModel};

/// A model in two parts that are run one after the other.
pub struct Split {
    /// What does not depend on the input.
    pub before: OnnxModel,
    /// What depends on it. The types of its added inputs are still to be stated.
    pub after: OnnxModel,
    /// The tensors that `before` gives and `after` takes.
    pub passed: Vec<String>,
}

/// Cuts a model at a tensor: everything that does not depend on it comes first, and is run once for any number of its
/// values. The tensor becomes an input of the second part, of this type and shape.
pub fn split_at(model: &OnnxModel, tensor: &str, kind: DataType, dims: &[i64]) -> Split {
    let graph = model.graph();
    let index = GraphIndex::new(graph);
    let later = index.dependents(tensor);
    let made = |node: &Node| node.output.iter().any(|output| output == tensor);
    let is_later = |node: &Node| node.output.iter().any(|output| later.contains(output.as_str()) && output != tensor);
    let nodes = graph.node.iter().enumerate().filter(|(_, node)| !made(node));
    let (second, first): (Vec<_>, Vec<_>) = nodes.partition(|(_, node)| is_later(node));
    let second: Vec<&Node> = second.into_iter().map(|(_, node)| node).collect();
    let (mut passed, mut seen, mut constants) = (Vec::new(), HashSet::from([tensor]), Vec::new());
    for read in second.iter().flat_map(|node| node.input.iter().map(String::as_str).chain(node.captured())) {
        if read.is_empty() || later.contains(read) || !seen.insert(read) {
            continue;
        }
        match index.producer_node(read) {
            Some(node) if node.op() == "Constant" => constants.push(node),
            Some(_) => passed.push(read.to_owned()),
            None if graph.input.iter().any(|info| info.name() == read) => passed.push(read.to_owned()),
            None => {}
        }
    }
    let (of_second, mut given): (Vec<ValueInfo>, Vec<ValueInfo>) =
        graph.output.iter().cloned().partition(|output| later.contains(output.name()));
    let known: HashSet<String> = given.iter().map(|output| output.name().to_owned()).collect();
    given.extend(passed.iter().filter(|name| !known.contains(*name)).map(|name| ValueInfo::untyped(name)));
    // What only the tensor was made from is left out.
    let wanted: HashSet<usize> = given.iter().flat_map(|output| index.ancestors(output.name())).collect();
    let first: Vec<Node> =
        first.into_iter().filter(|(at, _)| wanted.contains(at)).map(|(_, node)| node.clone()).collect();
    let read: HashSet<&str> = first.iter().flat_map(|node| node.input.iter().map(String::as_str)).collect();
    let inputs = graph.input.iter().filter(|info| read.contains(info.name())).cloned().collect();
    let before = part(model, first.clone(), inputs, given);
    let asked = vec![ValueInfo::tensor(tensor, kind, dims)];
    let after = part(model, constants.into_iter().chain(second).cloned().collect(), asked, of_second);
    Split { before, after, passed }
}

/// The part of a model that makes these outputs. A runtime runs every node of a graph, whether it is needed or not.
pub fn keep_outputs(model: &OnnxModel, wanted: impl Fn(&str) -> bool) -> OnnxModel {
    let graph = model.graph();
    let index = GraphIndex::new(graph);
    let output: Vec<ValueInfo> = graph.output.iter().filter(|output| wanted(output.name())).cloned().collect();
    let needed: HashSet<usize> = output.iter().flat_map(|output| index.ancestors(output.name())).collect();
    let node = graph.node.iter().enumerate().filter(|(at, _)| needed.contains(at)).map(|(_, node)| node.clone());
    part(model, node.collect(), graph.input.clone(), output)
}

/// A model of some nodes of another one, with the weights that they read.
fn part(model: &OnnxModel, node: Vec<Node>, input: Vec<ValueInfo>, output: Vec<ValueInfo>) -> OnnxModel {
    let graph = model.graph();
    let read: HashSet<&str> =
        node.iter().flat_map(|n| n.input.iter().map(String::as_str).chain(n.captured())).collect();
    let given: HashSet<&str> = output.iter().map(ValueInfo::name).collect();
    let weights = graph.initializer.iter().filter(|t| read.contains(t.name()) || given.contains(t.name()));
    let initializer = weights.cloned().collect();
    model.with_graph(Graph { name: graph.name.clone(), node, initializer, input, output, ..Graph::default() })
}
