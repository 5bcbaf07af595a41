//! Reductions, in the form of opset 18, where the axes are an input.

use crate::error::Result;
use crate::grad::value::Value;
use crate::grad::vjp::{Gradient, Vjp};

/// A tensor of the output's shape, with the reduced axes restored as axes of length 1, so that it broadcasts over
/// `x`.
fn restore_axes<'g>(vjp: Vjp<'g>, tensor: Value<'g>) -> Value<'g> {
    match vjp.operand(1) {
        Ok(axes) if vjp.int("keepdims", 1) == 0 => tensor.apply("Unsqueeze", &[axes], &[]),
        // Without axes all are reduced, and a scalar broadcasts unchanged.
        _ => tensor,
    }
}

/// `tensor`, whose reduced axes have length 1, broadcast to the shape of `x`. The other axes keep their lengths, so
/// that a later run may have another batch size.
fn spread<'g>(vjp: Vjp<'g>, tensor: Value<'g>) -> Gradient<'g> {
    let (x, y) = (vjp.operand_shape(0)?, vjp.y_shape()?);
    let shape = if x.len() == y.len() && x.first() == y.first() {
        vjp.int64s(&x.iter().zip(y).map(|(&x, &y)| if x == y { 1 } else { x as i64 }).collect::<Vec<_>>())
    } else {
        vjp.x().shape()
    };
    Ok(Some(tensor.expand(shape)))
}

/// `y = Σ x`, `dx = dy`. <https://onnx.ai/onnx/operators/onnx__ReduceSum.html>, opset 13 on.
pub fn sum(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Ok(None);
    }
    spread(vjp, restore_axes(vjp, vjp.dy()?))
}

/// `y = mean x` over some axes, `dx = dy / count`.
///
/// <https://onnx.ai/onnx/operators/onnx__ReduceMean.html>;
/// <https://onnx.ai/onnx/operators/onnx__GlobalAveragePool.html>, opset 1 on.
pub fn mean(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Ok(None);
    }
    let size = |shape: &[usize]| shape.iter().product::<usize>() as f32;
    let share = size(vjp.y_shape()?) / size(vjp.operand_shape(0)?);
    spread(vjp, restore_axes(vjp, vjp.dy()? * share))
}

/// `y = max x` or `min x`: `dx = dy where x = y`, divided among equal numbers as in PyTorch.
///
/// <https://onnx.ai/onnx/operators/onnx__ReduceMax.html>, <https://onnx.ai/onnx/operators/onnx__ReduceMin.html>;
/// <https://onnx.ai/onnx/operators/onnx__GlobalMaxPool.html>, opset 1 on.
pub fn extreme(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Ok(None);
    }
    let (y, dy) = (restore_axes(vjp, vjp.y()), restore_axes(vjp, vjp.dy()?));
    let wins = vjp.x().equals(y).cast_like(dy);
    Ok(Some(wins * (dy / count_of(vjp, wins)?)))
}

/// The sum of `wins` over the reduced axes, which stay with length 1.
fn count_of<'g>(vjp: Vjp<'g>, wins: Value<'g>) -> Result<Value<'g>> {
    if vjp.node.op() == "GlobalMaxPool" {
        let spatial: Vec<i64> = (2..vjp.operand_shape(0)?.len() as i64).collect();
        return Ok(wins.sum_over(&spatial));
    }
    Ok(reduced(vjp, "ReduceSum", wins))
}

/// `y = Σ x²`, `dx = 2 x dy`. <https://onnx.ai/onnx/operators/onnx__ReduceSumSquare.html>
pub fn sum_square(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Ok(None);
    }
    Ok(Some(vjp.x() * restore_axes(vjp, vjp.dy()? * 2.0)))
}

/// `y = Σ |x|`, `dx = sign(x) dy`. <https://onnx.ai/onnx/operators/onnx__ReduceL1.html>
pub fn l1(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Ok(None);
    }
    Ok(Some(vjp.x().sign() * restore_axes(vjp, vjp.dy()?)))
}

/// `y = √Σ x²`, `dx = x dy / y`, and 0 where `y` is 0, as in PyTorch. <https://onnx.ai/onnx/operators/onnx__ReduceL2.html>
pub fn l2(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Ok(None);
    }
    let y = vjp.y();
    Ok(Some(vjp.x() * restore_axes(vjp, y.greater(0.0).choose(vjp.dy()? / y, 0.0))))
}

/// `y = ln Σ exp(x)`, `dx = exp(x - y) dy`. <https://onnx.ai/onnx/operators/onnx__ReduceLogSumExp.html>
pub fn log_sum_exp(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Ok(None);
    }
    let (y, dy) = (restore_axes(vjp, vjp.y()), restore_axes(vjp, vjp.dy()?));
    Ok(Some((vjp.x() - y).exp() * dy))
}

/// `y = ln Σ x`, `dx = dy / exp(y)`. <https://onnx.ai/onnx/operators/onnx__ReduceLogSum.html>
pub fn log_sum(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Ok(None);
    }
    spread(vjp, restore_axes(vjp, vjp.dy()? / vjp.y().exp()))
}

/// `y = Π x`, `dx = dy` times the product of the others: of one zero the product of all that are not, of several 0.
/// <https://onnx.ai/onnx/operators/onnx__ReduceProd.html>
pub fn product(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Ok(None);
    }
    let (x, dy) = (vjp.x(), vjp.dy()?);
    let is_zero = x.equals(0.0);
    let others = is_zero.choose(1.0, x);
    let (product, zeros) = (reduced(vjp, "ReduceProd", others), reduced(vjp, "ReduceSum", is_zero.to_float()));
    let of_zero = zeros.less(1.5).choose(product, 0.0);
    let of_other = zeros.less(0.5).choose(product / others, 0.0);
    Ok(Some(restore_axes(vjp, dy) * is_zero.choose(of_zero, of_other)))
}

/// A tensor of the shape of `x`, reduced as the node reduces `x`.
fn reduced<'g>(vjp: Vjp<'g>, op: &str, of: Value<'g>) -> Value<'g> {
    let axes: Vec<Value> = vjp.operand(1).into_iter().collect();
    restore_axes(vjp, of.apply(op, &axes, &vjp.node.attribute))
}
