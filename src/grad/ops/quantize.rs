//! Quantised numbers. Their gradients are in units of the quantised numbers themselves, and rounding counts as the
//! identity: the straight-through estimator (Bengio, Léonard and Courville, *Estimating or Propagating Gradients Through
//! Stochastic Neurons*, 2013).

use super::conv::ConvWindow;
use crate::error::Result;
use crate::grad::value::Value;
use crate::grad::vjp::{Gradient, Vjp};
use crate::onnx::DataType;
use crate::onnx::proto::Tensor;

/// `y = round(x / scale) + zero point`, clipped to the type's range: `dx = dy / scale`.
///
/// Clipping does not stop the gradient, so a class whose score is clipped still has a map. There is one exception: with
/// the type's least number as the zero point, clipping is a `ReLU` fused into the quantiser, and `dx = 0` for `x < 0`.
///
/// <https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html>, opset 10 on.
pub fn quantize(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Ok(None);
    }
    let dx = vjp.dy()? / along_axis(vjp, 1)?;
    let least = vjp.kind(vjp.y_name()).and_then(DataType::integer_range).map(|(least, _)| least as i64);
    let rectifies = match vjp.operand_name(2) {
        // One that the picture decides is no constant.
        Ok(zero_point) => vjp
            .graph
            .constant(zero_point)
            .and_then(Tensor::to_i64s)
            .is_some_and(|zeros| zeros.iter().all(|z| Some(*z) == least)),
        Err(_) => least == Some(0),
    };
    Ok(Some(if rectifies { vjp.masked(dx, vjp.x().at_least(0.0)) } else { dx }))
}

/// `y = (x - zero point) scale`: `dx = dy scale`.
///
/// <https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html>, opset 10 on.
pub fn dequantize(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Ok(None);
    }
    Ok(Some(vjp.dy()? * along_axis(vjp, 1)?))
}

/// `y, scale, zero point` of `x`, by the range of `x`: `dx = dy / scale`, with the scale as a constant.
///
/// <https://onnx.ai/onnx/operators/onnx__DynamicQuantizeLinear.html>, opset 11 on.
#[expect(clippy::unnecessary_wraps, reason = "it has the form of a rule")]
pub fn dynamic_quantize(vjp: Vjp) -> Gradient {
    let Some(dy) = vjp.grads[0] else { return Ok(None) };
    Ok(Some(dy / vjp.writer.tensor(&vjp.node.output[1])))
}

/// `y = (w - w zero point) * (x - x zero point)`: `dx` as for Conv. The weights are `[M,C/group,…]`, with a zero point
/// for all or one for each of `M`.
///
/// <https://onnx.ai/onnx/operators/onnx__ConvInteger.html>, opset 10 on.
pub fn conv_integer(vjp: Vjp) -> Gradient {
    match vjp.input {
        0 => {}
        1 => return Err(vjp.unsupported("its weights")),
        _ => return Ok(None),
    }
    let shape = vjp.operand_shape(1)?;
    let mut weights = vjp.operand(1)?.to_float();
    if let Ok(zero_point) = vjp.operand(3) {
        let per_channel: Vec<i64> = std::iter::once(-1).chain(vec![1; shape.len() - 1]).collect();
        weights = weights - zero_point.to_float().reshape(&per_channel);
    }
    let (x, y) = (&vjp.x_shape()?[2..], &vjp.y_shape()?[2..]);
    let window = ConvWindow::of(vjp.node, shape[2..].iter().map(|&k| k as i64).collect(), x, y);
    Ok(Some(window.transposed(vjp.dy()?, weights, vjp.int("group", 1), x, y)))
}

/// `y = (A - A zero point) (B - B zero point)`: `dA` and `dB` as for `MatMul`.
///
/// <https://onnx.ai/onnx/operators/onnx__MatMulInteger.html>, opset 10 on.
pub fn matmul_integer(vjp: Vjp) -> Gradient {
    if vjp.input > 1 {
        return Ok(None);
    }
    let other = 1 - vjp.input;
    let mut factor = vjp.operand(other)?.to_float();
    if let Ok(zero_point) = vjp.operand(2 + other) {
        if other == 0 && vjp.operand_shape(2)?.len() == 1 && vjp.operand_shape(2)? != [1] {
            return Err(vjp.unsupported("a zero point for each row"));
        }
        factor = factor - zero_point.to_float();
    }
    super::linear::product_gradient(vjp, vjp.dy()?, factor)
}

/// `y = round(x)`: `dx = dy`, since in a classifier it stands for quantisation, written out.
///
/// <https://onnx.ai/onnx/operators/onnx__Round.html>, opset 11 on.
pub fn round(vjp: Vjp) -> Gradient {
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
