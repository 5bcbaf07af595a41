//! Quantisation, in the form of quantise-dequantise pairs around float ops.

use crate::error::Result;
use crate::grad::Vjp;

/// `y = round(x / scale) + zero point, kept within the type`: straight through, `dx = dy` where `x` is
/// within the type's range, else 0, with `dy` in the units of `x`
/// (Bengio, Léonard and Courville, *Estimating or Propagating Gradients Through Stochastic Neurons*,
/// 2013; the form of PyTorch's `fake_quantize`).
///
/// <https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html>, opset 10 on.
pub fn quantize(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Ok(None);
    }
    let grad = vjp.grad()?;
    let Some((low, high)) = vjp.kind(vjp.output_name()).and_then(crate::onnx::DataType::integer_range) else {
        return Err(vjp.unsupported("this type of number"));
    };
    let scale = along_axis(vjp, vjp.input_name(1)?)?;
    let mut level = vjp.emit("Div", &[vjp.wanted(), &scale], vec![]);
    if let Ok(zero) = vjp.input_name(2) {
        let zero = along_axis(vjp, zero)?;
        let zero = vjp.emit("Cast", &[&zero], vec![crate::onnx::proto::Attribute::from_int("to", 1)]);
        level = vjp.emit("Add", &[&level, &zero], vec![]);
    }
    let level = vjp.emit("Round", &[&level], vec![]);
    let [low, high, nothing] = [low, high, 0.0].map(|v| vjp.backward.scalar(v));
    let above = vjp.emit("GreaterOrEqual", &[&level, &low], vec![]);
    let below = vjp.emit("LessOrEqual", &[&level, &high], vec![]);
    let inside = vjp.emit("And", &[&above, &below], vec![]);
    Ok(Some(vjp.emit("Where", &[&inside, &grad, &nothing], vec![])))
}

/// `y = (x - zero point) scale`: straight through, `dx = dy`, in the units of `y`.
///
/// <https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html>, opset 10 on.
pub fn dequantize(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Ok(None);
    }
    vjp.grad().map(Some)
}

/// A parameter, of which there is one or one a slice along the node's axis, so that it broadcasts over `x`.
fn along_axis(vjp: &mut Vjp, parameter: &str) -> Result<String> {
    let rank = vjp.input_shape(0)?.len() as i64;
    match vjp.backward.shape(parameter)?.len() {
        0 => Ok(parameter.to_owned()),
        1 => {
            let axis = vjp.node.int("axis").unwrap_or(1).rem_euclid(rank.max(1));
            let single = vjp.backward.shape(parameter)? == [1];
            let shape: Vec<i64> = (0..rank).map(|a| if a == axis && !single { -1 } else { 1 }).collect();
            let shape = vjp.backward.int64s(&shape);
            Ok(vjp.emit("Reshape", &[parameter, &shape], vec![]))
        }
        _ => Err(vjp.unsupported("blocked quantisation")),
    }
}
