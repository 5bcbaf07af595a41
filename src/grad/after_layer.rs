//! The part of a classifier after its target layer, as a model, for methods that score other activations of the
//! layer.

use std::collections::HashSet;

use super::axes::TensorLayout;
use super::graph_writer::GraphWriter;
use super::target::Target;
use super::task::Task;
use super::value::Value;
use crate::error::Result;
use crate::onnx::proto::{Attribute, Graph, Node, ValueInfo};
use crate::onnx::{DataType, GraphIndex, OnnxModel, Tensors, keep_outputs};

/// The input of a [`Remainder`]: the activations, float32 `[B,C,h,w]`.
pub const REMAINDER_INPUT: &str = "whycam.activations";

/// The layers after the target layer.
pub struct Remainder {
    /// A model from activations `[B,C,h,w]` and the side inputs to a row of scores `[B,K]`.
    pub model: OnnxModel,
    /// The output with a row of scores for each picture.
    pub output: &'static str,
    /// Tensors of the whole model that it also reads, with their values for one picture: those that bypass the
    /// target layer, and for tokens the layer itself, whose first tokens are not part of the map.
    pub side_inputs: Vec<String>,
    /// The shapes of the side inputs.
    pub side_shapes: Vec<Vec<usize>>,
    /// The shape of the activations without the batch: `[C,h,w]`.
    pub layer_shape: [usize; 3],
}

/// Cuts the remainder out of a classifier.
///
/// # Errors
/// The shape of a tensor is unknown.
pub fn cut_remainder(model: &OnnxModel, tensors: &Tensors, task: &Task, target: &Target) -> Result<Remainder> {
    let layout = &target.layer.layout;
    let layer = target.layer.tensor.as_str();
    let LaterNodes { constants, nodes, mut side_inputs } = later_nodes(model, layer, task.tensor());
    if layout.has_other_tokens() && !side_inputs.contains(&layer) {
        side_inputs.push(layer);
    }
    let writer = GraphWriter::new(model, tensors);
    write_side_inputs(&writer, layer, &side_inputs)?;
    write_layer(&writer, layout, layer);
    let inputs = writer.take_nodes();
    let output = task.row_output();
    task.write_row(&writer)?;
    let side_shapes = side_inputs.iter().map(|name| Ok(writer.shape(name)?.to_vec())).collect::<Result<Vec<_>>>()?;
    let patch = writer.into_whole_patch();

    let layer_shape = [layout.channels, layout.height, layout.width];
    let info = |name: &str, dims: &[i64]| ValueInfo::tensor(name, DataType::Float, dims);
    let dims = |shape: &[usize]| shape.iter().map(|&d| d as i64).collect::<Vec<_>>();
    let activations = info(REMAINDER_INPUT, &[&[-1], dims(&layer_shape).as_slice()].concat());
    let side = side_inputs.iter().zip(&side_shapes).map(|(name, shape)| info(&side_input_name(name), &dims(shape)));
    let graph = Graph {
        name: Some("tail".into()),
        node: [constants, inputs, nodes, patch.nodes].concat(),
        initializer: [model.graph().initializer.clone(), patch.initializers].concat(),
        input: std::iter::once(activations).chain(side).collect(),
        output: vec![info(output, &[-1, task.row_length() as i64])],
        ..Graph::default()
    };
    let side_inputs = side_inputs.into_iter().map(str::to_owned).collect();
    // The writer also makes guards of sums before the layer, whose inputs are not here.
    let model = keep_outputs(&model.with_graph(graph), |_| true);
    Ok(Remainder { model, output, side_inputs, side_shapes, layer_shape })
}

/// The nodes that a remainder takes over.
struct LaterNodes<'m> {
    /// Those that depend on neither the layer nor the picture.
    constants: Vec<Node>,
    /// Those from the layer to the logits.
    nodes: Vec<Node>,
    /// Tensors of the picture that bypass the layer.
    side_inputs: Vec<&'m str>,
}

fn later_nodes<'m>(model: &'m OnnxModel, layer: &str, logits: &str) -> LaterNodes<'m> {
    let graph = model.graph();
    let index = GraphIndex::new(graph);
    let input = graph.true_inputs().next().map_or("", ValueInfo::name);
    let (of_layer, of_picture) = (index.dependents(layer), index.dependents(input));
    let ancestors = index.ancestors(logits);
    let is_later = |at: usize, node: &Node| {
        ancestors.contains(&at)
            && node.input.iter().any(|i| of_layer.contains(i.as_str()))
            && node.output.iter().all(|o| o != layer)
    };
    let mut nodes = Vec::new();
    let mut side_inputs: Vec<&str> = Vec::new();
    let mut constants: HashSet<usize> = HashSet::new();
    for (_, node) in graph.node.iter().enumerate().filter(|(at, node)| is_later(*at, node)) {
        nodes.push(node.clone());
        for read in node.input.iter().map(String::as_str).filter(|i| !of_layer.contains(i)) {
            if !of_picture.contains(read) {
                constants.extend(index.ancestors(read));
            } else if !side_inputs.contains(&read) {
                side_inputs.push(read);
            }
        }
    }
    let constants = graph.node.iter().enumerate().filter(|(at, _)| constants.contains(at));
    LaterNodes { constants: constants.map(|(_, node)| node.clone()).collect(), nodes, side_inputs }
}

/// What a remainder calls a tensor of the whole model that it reads.
pub fn side_input_name(tensor: &str) -> String {
    format!("whycam.beside.{tensor}")
}

/// The layer as it was for the picture, all tokens included.
fn original_name(layer: &str) -> String {
    format!("whycam.whole.{layer}")
}

/// Repeats each side input over the batch of the activations.
fn write_side_inputs(writer: &GraphWriter, layer: &str, side_inputs: &[&str]) -> Result<()> {
    let shape = writer.tensor(REMAINDER_INPUT).shape();
    let batch = shape.apply("Slice", &[0, 1].map(|bound| writer.int64s(&[bound])), &[]);
    for name in side_inputs {
        let ones = writer.int64s(&vec![1; writer.shape(name)?.len().saturating_sub(1)]);
        let repeated = writer.tensor(side_input_name(name)).expand(batch.concat(&[ones], 0));
        let to = if *name == layer { original_name(layer) } else { (*name).to_owned() };
        write_typed(writer, repeated, writer.kind(name), &to);
    }
    Ok(())
}

/// Gives `value`, float32, the name `to` and the type `kind`.
fn write_typed(writer: &GraphWriter, value: Value, kind: Option<DataType>, to: &str) {
    match kind {
        Some(kind) if kind != DataType::Float => {
            writer.emit_as(to, "Cast", &[value], &[Attribute::from_int("to", kind as i64)])
        }
        _ => writer.emit_as(to, "Identity", &[value], &[]),
    };
}

/// Writes the layer's tensor from the activations `[B,C,h,w]`. Tokens that are not part of the map keep their
/// original values.
fn write_layer(writer: &GraphWriter, layout: &TensorLayout, layer: &str) {
    let mut tensor = writer.tensor(REMAINDER_INPUT);
    if layout.prefix.is_some() {
        tensor = tensor.reshape(&[0, 0, -1]);
    }
    if !layout.order.is_sorted() {
        let mut inverse = vec![0; layout.order.len()];
        for (from, &to) in (0..).zip(&layout.order) {
            inverse[to] = from;
        }
        tensor = tensor.transpose(&inverse);
    }
    if let Some(prefix) = layout.prefix.filter(|_| layout.has_other_tokens()) {
        let axis = layout.order[2] as i64;
        let original = |from: usize, to: i64| writer.tensor(original_name(layer)).slice(from as i64, to, axis);
        let last = original(prefix + layout.height * layout.width, i64::MAX);
        tensor = original(0, prefix as i64).concat(&[tensor, last], axis);
    }
    write_typed(writer, tensor, writer.kind(layer), layer);
}
