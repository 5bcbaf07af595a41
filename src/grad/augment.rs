//! Augmenting a model: appending the backward pass and the outputs that a map is made of.

use super::axes::TensorLayout;
use super::graph_writer::GraphWriter;
use super::reverse::{independent, write_backward};
use super::rules::Rules;
use super::score::Score;
use super::target::Target;
use super::task::Task;
use super::value::Value;
use crate::error::Result;
use crate::onnx::proto::ValueInfo;
use crate::onnx::{DataType, GraphIndex, OnnxModel, Tensors};

/// The added input: int64 `[N]`, the class to explain, or -1 for the predicted one.
pub const CLASS_INDEX: &str = "class_index";
/// The output `[N,K]`, float32: the logits of all classes.
pub const LOGITS: &str = "logits";
/// The output `[N,C,h,w]`, float32: the activations of the target layer.
pub const ACTIVATIONS: &str = "activations";
/// The output `[N,C,h,w]`, float32: the gradient of the score by the activations.
pub const GRADIENTS: &str = "gradients";
/// The output `[N,h,w]`, float32, on request: the class activation map itself.
pub const CAM: &str = "cam";
/// The output that [`augment_with_curvature`] adds, `[N,C,h,w]`.
pub const CURVATURE: &str = "whycam.curvature";

/// What [`augment`] adds beside the task's outputs and the activations.
#[derive(Clone, Copy, Debug, Default)]
pub struct Additions {
    /// The score whose gradient is added, if any.
    pub score: Option<Score>,
    /// Whether `class_index` may hold several classes of one picture, each of which gets a gradient.
    pub batched_classes: bool,
}

/// Names of the activations and gradients of a further layer, counted from 1.
pub fn names_of_layer(number: usize) -> [String; 2] {
    [ACTIVATIONS, GRADIENTS].map(|name| format!("whycam.{name}.{number}"))
}

/// Appends the backward pass from the score to the target layer, and the outputs that the map is made of. `targets`
/// holds the target layer and then the further layers, whose outputs [`names_of_layer`] names; without any, the outputs of
/// the task alone are added.
///
/// Returns the gradient's tensor, in the layout of the target layer.
///
/// # Errors
/// An op in between has no gradient rule.
pub fn augment(
    model: &mut OnnxModel,
    tensors: &Tensors,
    rules: &Rules,
    task: &Task,
    targets: &[Target],
    additions: Additions,
) -> Result<Option<String>> {
    let added = added_outputs(model, tensors, task, targets, additions);
    let mut writer = GraphWriter::new(model, tensors);
    writer.batched_classes = additions.batched_classes;
    let mut wanted: Vec<String> = added.iter().map(ToString::to_string).collect();
    let mut gradient = None;
    {
        let writer = &writer;
        if task.outputs().iter().any(|output| added.contains(output)) {
            task.write_outputs(writer)?;
        }
        if let (Some(score), Some((target, further))) = (additions.score, targets.split_first()) {
            let seed = score.seed(writer, task)?;
            gradient = Some(write_gradient(writer, model, rules, task, seed, target)?);
            for (number, further) in (1..).zip(further) {
                let raw = write_raw(writer, model, rules, task, seed, further)?;
                let [activations, gradients] = names_of_layer(number);
                write_layout(writer, &further.layer.layout, raw, &gradients);
                wanted.extend([activations, gradients]);
            }
        }
        write_activations(writer, model, targets);
    }
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    writer.into_patch(&wanted).apply(model);
    for name in &wanted[added.len()..] {
        model.add_output(name);
    }
    declare(model, task, targets, &added, additions.score.is_some());
    Ok(gradient)
}

/// The outputs to be added.
fn added_outputs(
    model: &OnnxModel,
    tensors: &Tensors,
    task: &Task,
    targets: &[Target],
    additions: Additions,
) -> Vec<&'static str> {
    let mut added = Vec::new();
    added.extend(task.outputs().iter().filter(|_| !task.has_outputs(model, tensors)));
    added.extend((!targets.is_empty()).then_some(ACTIVATIONS));
    added.extend(additions.score.filter(|_| !targets.is_empty()).map(|_| GRADIENTS));
    added
}

/// Declares the added input and outputs.
fn declare(model: &mut OnnxModel, task: &Task, targets: &[Target], added: &[&str], takes_index: bool) {
    let layout = targets.first().map(|target| &target.layer.layout);
    let grid = layout.map_or(vec![-1], |of| vec![-1, of.channels as i64, of.height as i64, of.width as i64]);
    let graph = model.graph_mut();
    if takes_index {
        let (index, dims) = task.index_input();
        graph.input.push(ValueInfo::tensor(index, DataType::Int64, dims));
    }
    let dims = task.output_dims();
    // A model's own output of the name may leave its lengths open, which a prepared model must tell.
    let open = |own: &ValueInfo| own.dims().is_none_or(|dims| dims.iter().skip(1).any(Option::is_none));
    for own in graph.output.iter_mut().filter(|own| task.outputs().contains(&own.name()) && open(own)) {
        if let Some(dims) = &dims {
            *own = ValueInfo::tensor(own.name(), DataType::Float, dims);
        }
    }
    graph.output.extend(added.iter().map(|name| match &dims {
        _ if !task.outputs().contains(name) => ValueInfo::tensor(name, DataType::Float, &grid),
        Some(dims) => ValueInfo::tensor(name, DataType::Float, dims),
        None => ValueInfo::untyped(name),
    }));
}

/// Writes the gradient at the target layer, and returns its tensor in the layer's layout.
fn write_gradient<'g>(
    writer: &'g GraphWriter<'g>,
    model: &'g OnnxModel,
    rules: &Rules,
    task: &Task,
    seed: Value<'g>,
    target: &Target,
) -> Result<String> {
    let layer = &target.layer;
    let raw = write_raw(writer, model, rules, task, seed, target)?;
    if layer.layout.is_plain() {
        writer.rename(&raw.name(), GRADIENTS);
        return Ok(GRADIENTS.to_owned());
    }
    write_layout(writer, &layer.layout, raw, GRADIENTS);
    Ok(raw.name())
}

/// The gradient by the target layer, in its own layout.
fn write_raw<'g>(
    writer: &'g GraphWriter<'g>,
    model: &'g OnnxModel,
    rules: &Rules,
    task: &Task,
    seed: Value<'g>,
    target: &Target,
) -> Result<Value<'g>> {
    let layer = target.layer.tensor.as_str();
    let backward = |from: &str, seed: Value<'g>, to: &str| {
        write_backward(writer, model, rules, from, seed, to)?.ok_or_else(|| independent(model, from, to))
    };
    match &target.through {
        Some(map) => backward(map, backward(task.tensor(), seed, map)?, layer),
        None => backward(task.tensor(), seed, layer),
    }
}

/// Writes the activations of all layers, after the gradients and from the last layer to the first: ONNX Runtime 1.32 loses a
/// tensor that a Pad before a convolution reads if an output comes before other nodes that depend on it.
fn write_activations(writer: &GraphWriter, model: &OnnxModel, targets: &[Target]) {
    let place = |tensor: &String| model.graph().node.iter().position(|node| node.output.contains(tensor));
    let mut layers: Vec<_> = targets.iter().map(|target| &target.layer).enumerate().collect();
    layers.sort_by_key(|(_, layer)| std::cmp::Reverse(place(&layer.tensor)));
    for (number, layer) in layers {
        let name = if number == 0 { ACTIVATIONS } else { &names_of_layer(number)[0] };
        write_layout(writer, &layer.layout, writer.tensor(&layer.tensor), name);
    }
}

/// Appends the Hessian of the score by the activations, times the activations: the output [`CURVATURE`].
///
/// `gradient` is what [`augment`] returned, and `tensors` describes the model since. Returns false where everything
/// after the layer is linear, so that the product is zero and no output is added.
///
/// # Errors
/// An op of the backward pass has no gradient rule.
pub fn augment_with_curvature(
    model: &mut OnnxModel,
    tensors: &Tensors,
    rules: &Rules,
    target: &Target,
    gradient: &str,
) -> Result<bool> {
    let layer = &target.layer;
    if !GraphIndex::new(model.graph()).dependents(&layer.tensor).contains(gradient) {
        return Ok(false);
    }
    let writer = GraphWriter::new(model, tensors);
    let activations = writer.tensor(&layer.tensor);
    let product = write_backward(&writer, model, rules, gradient, activations, &layer.tensor)?;
    let Some(product) = product else { return Ok(false) };
    write_layout(&writer, &layer.layout, product, CURVATURE);
    writer.into_patch(&[CURVATURE]).apply(model);
    model.add_output(CURVATURE);
    Ok(true)
}

/// Writes `tensor`, which has the given layout, as `[N,C,h,w]` under the name `name`.
fn write_layout(writer: &GraphWriter, layout: &TensorLayout, tensor: Value, name: &str) {
    let mut tensor = writer.tensor(tensor.name());
    if let Some(prefix) = layout.prefix.filter(|_| layout.has_other_tokens()) {
        let end = prefix + layout.height * layout.width;
        tensor = tensor.slice(prefix as i64, end as i64, layout.order[2] as i64);
    }
    if !layout.order.is_sorted() {
        let order: Vec<i64> = layout.order.iter().map(|&axis| axis as i64).collect();
        tensor = tensor.transpose(&order);
    }
    if layout.prefix.is_some() {
        tensor = tensor.reshape(&[0, 0, layout.height as i64, layout.width as i64]);
    }
    writer.emit_as(name, "Identity", &[tensor], &[]);
}
