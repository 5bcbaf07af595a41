//! Cutting a model in two.

use std::collections::HashSet;

use super::proto::{Graph, Node, ValueInfo};
use super::{GraphIndex, OnnxModel};

/// A model in two parts that are run one after the other.
pub struct Split {
    /// What does not depend on the input.
    pub before: OnnxModel,
    /// What depends on it. The types of its added inputs are still to be stated.
    pub after: OnnxModel,
    /// The tensors that `before` gives and `after` takes.
    pub passed: Vec<String>,
}

/// Cuts a model at an input: everything that does not depend on it comes first, and is run once for any number of its
/// values.
pub fn split_at_input(model: &OnnxModel, input: &str) -> Split {
    let graph = model.graph();
    let index = GraphIndex::new(graph);
    let later = index.dependents(input);
    let is_later = |node: &Node| node.output.iter().any(|output| later.contains(output.as_str()));
    let (second, first): (Vec<&Node>, Vec<&Node>) = graph.node.iter().partition(|node| is_later(node));
    let (mut passed, mut seen, mut constants) = (Vec::new(), HashSet::new(), Vec::new());
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
    let part = |nodes: Vec<Node>, input: Vec<ValueInfo>, output: Vec<ValueInfo>| {
        let read: HashSet<&str> =
            nodes.iter().flat_map(|n| n.input.iter().map(String::as_str).chain(n.captured())).collect();
        let given: HashSet<&str> = output.iter().map(ValueInfo::name).collect();
        let weights = graph.initializer.iter().filter(|t| read.contains(t.name()) || given.contains(t.name()));
        let initializer = weights.cloned().collect();
        model.with_graph(Graph {
            name: graph.name.clone(),
            node: nodes,
            initializer,
            input,
            output,
            ..Graph::default()
        })
    };
    let (of_second, given): (Vec<ValueInfo>, Vec<ValueInfo>) =
        graph.output.iter().cloned().partition(|output| later.contains(output.name()));
    let (inputs, asked): (Vec<ValueInfo>, Vec<ValueInfo>) =
        graph.input.iter().cloned().partition(|info| info.name() != input);
    let known: HashSet<String> = given.iter().map(|output| output.name().to_owned()).collect();
    let added = passed.iter().filter(|name| !known.contains(*name)).map(|name| ValueInfo::untyped(name));
    let given: Vec<ValueInfo> = given.iter().cloned().chain(added).collect();
    let before = part(first.into_iter().cloned().collect(), inputs, given);
    let after = part(constants.into_iter().chain(second).cloned().collect(), asked, of_second);
    Split { before, after, passed }
}
