//! Normalisation.

use crate::error::Result;
use crate::grad::Vjp;

/// `y = scale (x - mean) / sqrt(var + ε) + bias` with stored mean and variance,
/// `dx = dy scale / sqrt(var + ε)`. `x` `[N,C,…]`, the others `[C]`.
///
/// <https://onnx.ai/onnx/operators/onnx__BatchNormalization.html>, opset 7 on, inference form;
/// Ioffe and Szegedy, *Batch Normalization*, 2015.
pub fn batch_normalization(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Err(vjp.unsupported("its parameters"));
    }
    if vjp.node.int("training_mode").unwrap_or(0) != 0 {
        return Err(vjp.error("it is in training mode; export the model in evaluation mode"));
    }
    let grad = vjp.grad()?;
    let rank = vjp.input_shape(0)?.len();
    let (scale, variance) = (vjp.input_name(1)?, vjp.input_name(4)?);
    let epsilon = vjp.backward.scalar(vjp.node.float("epsilon").unwrap_or(1e-5));
    let shifted = vjp.emit("Add", &[variance, &epsilon], vec![]);
    let deviation = vjp.emit("Sqrt", &[&shifted], vec![]);
    let slope = vjp.emit("Div", &[scale, &deviation], vec![]);
    let mut per_channel = vec![1; rank];
    per_channel[1] = -1;
    let per_channel = vjp.backward.int64s(&per_channel);
    let slope = vjp.emit("Reshape", &[&slope, &per_channel], vec![]);
    Ok(Some(vjp.emit("Mul", &[&grad, &slope], vec![])))
}
