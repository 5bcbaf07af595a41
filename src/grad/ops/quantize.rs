//! Quantisation, as pairs of quantising and dequantising around float ops.

use crate::error::Result;
use crate::grad::value::Value;
use crate::grad::vjp::{Gradient, Vjp};
use crate::onnx::DataType;

/// `y = round(x / scale) + zero point`, clipped to the type's range: the straight-through estimator `dx = dy` where
/// `x` is in that range, else 0, with `dy` in the units of `x` (Bengio, Léonard and Courville, *Estimating or
/// Propagating Gradients Through Stochastic Neurons*, 2013; the form of PyTorch's `fake_quantize`).
///
/// <https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html>, opset 10 on.
pub fn quantize(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Ok(None);
    }
    let Some((low, high)) = vjp.kind(vjp.y_name()).and_then(DataType::integer_range) else {
        return Err(vjp.unsupported("this type of number"));
    };
    let mut level = vjp.x() / along_axis(vjp, 1)?;
    if vjp.operand_name(2).is_ok() {
        level = level + along_axis(vjp, 2)?.to_float();
    }
    let level = level.round();
    let inside = level.at_least(low).and(level.at_most(high));
    Ok(Some(inside.choose(vjp.dy()?, 0.0)))
}

/// `y = (x - zero point) scale`: straight through, `dx = dy`, in the units of `y`.
///
/// <https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html>, opset 10 on.
pub fn dequantize(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Ok(None);
    }
    vjp.dy().map(Some)
}

/// A parameter in a shape that broadcasts over `x`. The node has one number, or one per slice along its axis.
fn along_axis(vjp: Vjp, input: usize) -> Result<Value> {
    let (parameter, shape) = (vjp.operand(input)?, vjp.operand_shape(input)?);
    let rank = vjp.operand_shape(0)?.len();
    match shape.len() {
        0 => Ok(parameter),
        1 => {
            let axis = vjp.axis(1, rank);
            let per_slice = |a: i64| a == axis && shape != [1];
            Ok(parameter.reshape(&(0..rank as i64).map(|a| if per_slice(a) { -1 } else { 1 }).collect::<Vec<_>>()))
        }
        _ => Err(vjp.unsupported("blocked quantisation")),
    }
}
