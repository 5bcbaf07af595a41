//! Inlining of model functions and of `If` branches whose condition is known, so that all other code sees a flat graph.

use std::collections::HashMap;

use super::proto::{Attribute, Function, Graph, Node};

/// Replaces calls of the model's functions by the nodes of those functions
/// (<https://github.com/onnx/onnx/blob/main/docs/IR.md#functions>).
///
/// # Errors
/// A function calls itself, or the functions expand to more than a million nodes.
pub fn inline_functions(graph: &mut Graph, functions: &[Function]) -> Result<(), String> {
    const DEEPEST: usize = 64;
    const MOST_NODES: usize = 1_000_000;
    let called = |node: &Node| functions.iter().find(|f| f.name() == node.op() && f.domain() == node.domain());
    for _ in 0..DEEPEST {
        if !graph.node.iter().any(|node| called(node).is_some()) {
            return Ok(());
        }
        for node in std::mem::take(&mut graph.node) {
            match called(&node) {
                Some(function) => graph.node.extend(expand(&node, function)),
                None => graph.node.push(node),
            }
            if graph.node.len() > MOST_NODES {
                return Err(format!("its functions expand to more than {MOST_NODES} nodes"));
            }
        }
    }
    Err(format!("its functions are nested more than {DEEPEST} deep"))
}

fn expand(call: &Node, function: &Function) -> Vec<Node> {
    let given = call.input.iter().map(String::as_str).chain(std::iter::repeat(""));
    let mut names: HashMap<String, String> =
        function.input.iter().zip(given).map(|(inner, outer)| (inner.clone(), outer.to_owned())).collect();
    name_inner(&mut names, call, function.node.iter().flat_map(|n| &n.output));
    let mut nodes = function.node.clone();
    for node in &mut nodes {
        rename(node, &names);
        node.attribute = node.attribute.iter().filter_map(|a| bound(a, call, function)).collect();
    }
    let inner: Vec<&str> = function.output.iter().map(|o| names.get(o).unwrap_or(o).as_str()).collect();
    nodes.extend(results(call, &inner));
    nodes
}

/// An attribute of a function's node: its value, or the call's value if it refers to an attribute of the function.
fn bound(attribute: &Attribute, call: &Node, function: &Function) -> Option<Attribute> {
    let Some(outer) = attribute.ref_attr_name.as_deref().filter(|name| !name.is_empty()) else {
        return Some(attribute.clone());
    };
    let default = || function.attribute_proto.iter().find(|a| a.name() == outer);
    let value = call.attribute(outer).or_else(default)?;
    Some(Attribute { name: attribute.name.clone(), ..value.clone() })
}

/// Replaces the `If` node at `index` by the nodes of one of its branches
/// (<https://onnx.ai/onnx/operators/onnx__If.html>).
///
/// # Errors
/// The node lacks the branch.
pub fn inline_branch(graph: &mut Graph, index: usize, condition: bool) -> Result<(), String> {
    let branch = if condition { "then_branch" } else { "else_branch" };
    let call = graph.node[index].clone();
    let body = call.attribute(branch).and_then(|a| a.g.clone());
    let Some(mut body) = body else { return Err(format!("its node {} lacks {branch}", call.label())) };
    let mut names = HashMap::new();
    let made = body.node.iter().flat_map(|n| &n.output).chain(body.initializer.iter().filter_map(|t| t.name.as_ref()));
    name_inner(&mut names, &call, made);
    for node in &mut body.node {
        rename(node, &names);
    }
    for name in body.initializer.iter_mut().filter_map(|t| t.name.as_mut()) {
        replace(name, &names);
    }
    let inner: Vec<&str> = body.output.iter().map(|o| names.get(o.name()).map_or(o.name(), String::as_str)).collect();
    let results = results(&call, &inner);
    graph.node.splice(index..=index, body.node.into_iter().chain(results));
    graph.initializer.extend(body.initializer);
    Ok(())
}

/// Renames a tensor wherever a graph makes or reads it.
pub fn rename_tensor(graph: &mut Graph, old: &str, new: &str) {
    let names = HashMap::from([(old.to_owned(), new.to_owned())]);
    graph.node.iter_mut().for_each(|node| rename(node, &names));
    let Graph { input, output, value_info, initializer, .. } = graph;
    let infos = input.iter_mut().chain(output).chain(value_info).filter_map(|info| info.name.as_mut());
    infos.chain(initializer.iter_mut().filter_map(|t| t.name.as_mut())).for_each(|name| replace(name, &names));
}

/// Maps tensors inside a body to names that are unique in the model.
fn name_inner<'n>(names: &mut HashMap<String, String>, call: &Node, made: impl Iterator<Item = &'n String>) {
    let caller = call.output.first().map_or("", String::as_str);
    for name in made.filter(|name| !name.is_empty()) {
        names.entry(name.clone()).or_insert_with(|| format!("{caller}/{name}"));
    }
}

fn results<'n>(call: &'n Node, inner: &'n [&str]) -> impl Iterator<Item = Node> + 'n {
    let pairs = call.output.iter().zip(inner).filter(|(outer, _)| !outer.is_empty());
    pairs.map(|(outer, inner)| Node::new("Identity", outer.as_str(), &[inner], &[outer]))
}

fn rename(node: &mut Node, names: &HashMap<String, String>) {
    for name in node.input.iter_mut().chain(&mut node.output) {
        replace(name, names);
    }
    for graph in node.attribute.iter_mut().flat_map(|a| a.g.iter_mut().chain(&mut a.graphs)) {
        graph.node.iter_mut().for_each(|inner| rename(inner, names));
        graph.output.iter_mut().filter_map(|o| o.name.as_mut()).for_each(|name| replace(name, names));
    }
}

fn replace(name: &mut String, names: &HashMap<String, String>) {
    if let Some(new) = names.get(name) {
        name.clone_from(new);
    }
}
