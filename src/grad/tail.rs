//! The part of a classifier behind its target layer, as a model of its own: for methods that ask what
//! the classes' scores would be if the layer's activations were others.

use std::collections::HashSet;

use super::explain::write_logits;
use super::{Backward, Explained, Head, Target, Tensors, View};
use crate::error::Result;
use crate::onnx::proto::{Attribute, Graph, Node, ValueInfo};
use crate::onnx::{DataType, GraphIndex, OnnxModel};

/// The input of a tail, float32 `[B,C,h,w]`.
pub const TAIL_INPUT: &str = "whycam.activations";

/// A model from activations `[B,C,h,w]` to `logits` `[B,K]`.
pub struct Tail {
    pub model: OnnxModel,
    /// Tensors of the whole model that it takes beside the activations, as they are for one picture:
    /// what goes past the target layer, and for tokens those that stand for no place.
    pub beside: Vec<String>,
}

/// Cuts the tail out of a model that has been looked through.
///
/// # Errors
/// The shape of a tensor could not be found out.
pub fn cut_tail(model: &OnnxModel, tensors: &Tensors, head: &Head, target: &Target) -> Result<Tail> {
    let graph = model.graph();
    let index = GraphIndex::new(graph);
    let layer = target.layer.tensor.as_str();
    let input = graph.true_inputs().next().map_or("", ValueInfo::name);
    let (behind, of_picture) = (index.dependents(layer), index.dependents(input));
    let ancestors = index.ancestors(&head.logits);
    let in_tail = |place: usize, node: &Node| {
        ancestors.contains(&place)
            && node.input.iter().any(|i| behind.contains(i.as_str()))
            && node.output.iter().all(|o| o != layer)
    };

    let mut nodes: Vec<Node> = Vec::new();
    let mut beside: Vec<&str> = Vec::new();
    let mut constant_nodes: HashSet<usize> = HashSet::new();
    for (place, node) in graph.node.iter().enumerate().filter(|(place, node)| in_tail(*place, node)) {
        nodes.push(graph.node[place].clone());
        for used in node.input.iter().map(String::as_str).filter(|i| !behind.contains(i)) {
            if of_picture.contains(used) {
                if !beside.contains(&used) {
                    beside.push(used);
                }
            } else {
                constant_nodes.extend(index.ancestors(used));
            }
        }
    }
    let constants = graph.node.iter().enumerate().filter(|(place, _)| constant_nodes.contains(place));
    let mut all: Vec<Node> = constants.map(|(_, node)| node.clone()).collect();

    let view = &target.layer.view;
    if view.prefix.is_some_and(|prefix| prefix > 0) && !beside.contains(&layer) {
        beside.push(layer);
    }
    let mut writer = Backward::new(model, tensors);
    let batch = batch_of(&mut writer);
    for name in &beside {
        let rank = writer.shape(name)?.len();
        let ones = writer.int64s(&vec![1; rank.saturating_sub(1)]);
        let shape = writer.emit("Concat", &[&batch, &ones], vec![Attribute::from_int("axis", 0)]);
        let full = writer.emit("Expand", &[&taken(name), &shape], vec![]);
        let to = if *name == layer { whole(layer) } else { (*name).to_owned() };
        write_typed(&mut writer, &full, tensors.get(*name).and_then(|t| t.kind), &to);
    }
    let raw = write_unview(&mut writer, view, TAIL_INPUT, &whole(layer));
    write_typed(&mut writer, &raw, tensors.get(layer).and_then(|t| t.kind), layer);
    all.extend(writer.take_nodes());
    all.append(&mut nodes);
    if head.logits != Explained::NAMES.logits {
        write_logits(&mut writer, head)?;
    }
    let patch = writer.into_whole_patch();
    all.extend(patch.nodes);

    let dims = [-1, view.channels as i64, view.height as i64, view.width as i64];
    let mut inputs = vec![ValueInfo::tensor(TAIL_INPUT, DataType::Float, &dims)];
    inputs.extend(beside.iter().map(|name| {
        let dims: Vec<i64> = tensors.get(*name).map_or_else(Vec::new, |t| t.shape.iter().map(|&d| d as i64).collect());
        ValueInfo::tensor(&taken(name), DataType::Float, &dims)
    }));
    let tail = Graph {
        name: Some("tail".into()),
        node: all,
        initializer: [graph.initializer.clone(), patch.initializers].concat(),
        input: inputs,
        output: vec![ValueInfo::tensor(Explained::NAMES.logits, DataType::Float, &[-1, head.classes as i64])],
        ..Graph::default()
    };
    Ok(Tail { model: model.with_graph(tail), beside: beside.into_iter().map(str::to_owned).collect() })
}

/// What the tail calls a tensor that it takes beside the activations.
pub fn taken(tensor: &str) -> String {
    format!("whycam.beside.{tensor}")
}

fn whole(layer: &str) -> String {
    format!("whycam.whole.{layer}")
}

/// `from`, float32, as another float type.
fn write_typed(writer: &mut Backward, from: &str, kind: Option<DataType>, to: &str) {
    match kind {
        Some(kind) if kind != DataType::Float => {
            writer.emit_as(to, "Cast", &[from], vec![Attribute::from_int("to", kind as i64)]);
        }
        _ => writer.emit_as(to, "Identity", &[from], vec![]),
    }
}

/// A map `[B,C,h,w]` in the form `view`; of tokens, those that stand for no place are taken from `whole`.
fn write_unview(writer: &mut Backward, view: &View, map: &str, whole: &str) -> String {
    let mut tensor = map.to_owned();
    if view.prefix.is_some() {
        let shape = writer.int64s(&[0, 0, -1]);
        tensor = writer.emit("Reshape", &[&tensor, &shape], vec![]);
    }
    if !view.order.is_sorted() {
        let mut back = vec![0; view.order.len()];
        for (from, &to) in view.order.iter().enumerate() {
            back[to] = from as i64;
        }
        tensor = writer.emit("Transpose", &[&tensor], vec![Attribute::from_ints("perm", &back)]);
    }
    if let Some(prefix) = view.prefix.filter(|prefix| *prefix > 0) {
        let axis = view.order[2] as i64;
        let [start, end, axes] = [0, prefix as i64, axis].map(|v| writer.int64s(&[v]));
        let first = writer.emit("Slice", &[whole, &start, &end, &axes], vec![]);
        tensor = writer.emit("Concat", &[&first, &tensor], vec![Attribute::from_int("axis", axis)]);
    }
    tensor
}

/// `[B]`, the batch of the activations.
fn batch_of(writer: &mut Backward) -> String {
    let shape = writer.emit("Shape", &[TAIL_INPUT], vec![]);
    let [start, end] = [0, 1].map(|v| writer.int64s(&[v]));
    writer.emit("Slice", &[&shape, &start, &end], vec![])
}
