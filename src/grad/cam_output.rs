//! A class activation map as an output of the model.

use super::augment::{ACTIVATIONS, GRADIENTS};
use crate::error::Result;
use crate::onnx::proto::{Attribute, Node, Tensor, ValueInfo};
use crate::onnx::{DataType, GraphIndex, OnnxModel};

/// How the channels of the activations are weighted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CamWeights {
    /// By the mean gradient of each: `ReLU(Σ_k mean(∂y/∂A^k) A^k)`, Grad-CAM (Selvaraju et al. 2017).
    Mean,
    /// Each cell by its own gradient: `ReLU(Σ_k ∂y/∂A^k ⊙ A^k)`, `HiResCAM` (Draelos and Carin 2020).
    Each,
}

/// Adds a class activation map to an augmented model: the output `name`, float32 `[N,h,w]`. A `signed` map keeps what speaks
/// against the score as negative numbers, in place of the `ReLU`.
///
/// # Errors
/// The model has no gradient output, or already has an output of that name.
pub fn append_cam(
    model: &mut OnnxModel,
    name: &str,
    weights: CamWeights,
    signed: bool,
    grid: [usize; 2],
) -> Result<()> {
    let outputs = &model.graph().output;
    if outputs.iter().any(|output| output.name() == name) {
        return Err(model.error(format!("its output '{name}' is not what whycam gives under that name; rename it")));
    }
    let gradients = outputs.iter().find(|output| output.name() == GRADIENTS);
    let channels = gradients.and_then(|output| output.dims()?.get(1).copied().flatten());
    let channels = channels.ok_or_else(|| model.error("it has no gradient output with a known number of channels"))?;
    let last = if signed { "Identity" } else { "Relu" };
    match weights {
        CamWeights::Mean => append_grad_cam(model, name, last, channels, grid),
        CamWeights::Each => append_hires_cam(model, name, last),
    }
    let [height, width] = grid.map(|length| length as i64);
    model.graph_mut().output.push(ValueInfo::tensor(name, DataType::Float, &[-1, height, width]));
    Ok(())
}

fn append_hires_cam(model: &mut OnnxModel, name: &str, last: &str) {
    let named = |part: &str| format!("whycam.{name}.{part}");
    let [weighted, sum, channels] = ["weighted", "sum", "channels"].map(named);
    let node = |op: &str, inputs: &[&str], output: &str| Node::new(op, output, inputs, &[output]);
    let graph = model.graph_mut();
    graph.node.extend([
        node("Mul", &[GRADIENTS, ACTIVATIONS], &weighted),
        node("ReduceSum", &[&weighted, &channels], &sum).with(Attribute::from_int("keepdims", 0)),
        node(last, &[&sum], name),
    ]);
    graph.initializer.push(Tensor::from_i64s(&channels, &[1], &[1]));
}

fn append_grad_cam(model: &mut OnnxModel, name: &str, last: &str, channels: i64, [height, width]: [usize; 2]) {
    let [height, width] = [height as i64, width as i64];
    let named = |part: &str| format!("whycam.{name}.{part}");
    let [spatial, row, flat, grid] = ["spatial", "row", "flat", "grid"].map(named);
    let [mean, weights, activations, sum, folded] =
        ["mean", "weights", "activations", "sum", "folded"].map(|part| named(&format!("{part}.out")));
    let node = |op: &str, inputs: &[&str], output: &str| Node::new(op, output, inputs, &[output]);
    // Where the model averages the layer's map, the gradient repeats one number per channel. The mean of that number
    // is the same.
    let even = expanded(model).unwrap_or_else(|| GRADIENTS.to_owned());
    let graph = model.graph_mut();
    graph.node.extend([
        node("ReduceMean", &[&even, &spatial], &mean).with(Attribute::from_int("keepdims", 1)),
        node("Reshape", &[&mean, &row], &weights),
        node("Reshape", &[ACTIVATIONS, &flat], &activations),
        node("MatMul", &[&weights, &activations], &sum),
        node("Reshape", &[&sum, &grid], &folded),
        node(last, &[&folded], name),
    ]);
    graph.initializer.extend([
        Tensor::from_i64s(&spatial, &[2], &[-2, -1]),
        Tensor::from_i64s(&row, &[3], &[-1, 1, channels]),
        Tensor::from_i64s(&flat, &[3], &[-1, channels, height * width]),
        Tensor::from_i64s(&grid, &[3], &[-1, height, width]),
    ]);
}

/// The tensor of four axes that is repeated to give the gradients `[N,C,h,w]`, if there is one.
fn expanded(model: &OnnxModel) -> Option<String> {
    let index = GraphIndex::new(model.graph());
    let spread = index.producer_node(GRADIENTS).filter(|node| node.op() == "Expand")?;
    let even = spread.input.first()?;
    let mut shaped = index.producer_node(even)?;
    while matches!(shaped.op(), "Mul" | "Div" | "Neg" | "Cast" | "Identity") {
        shaped = index.producer_node(shaped.input.first()?)?;
    }
    let shape = (shaped.op() == "Reshape").then(|| index.constant(shaped.input.get(1)?)).flatten()?;
    (shape.dims == [4]).then(|| even.clone())
}
