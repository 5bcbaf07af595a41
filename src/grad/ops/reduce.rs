//! Reductions, in the form of opset 18: the axes are an input.

use crate::error::Result;
use crate::grad::Vjp;
use crate::onnx::proto::Attribute;

/// A tensor of the output's shape, with the reduced axes put back as 1 so that it broadcasts.
fn put_axes_back(vjp: &mut Vjp, tensor: &str) -> String {
    if vjp.node.int("keepdims").unwrap_or(1) != 0 {
        return tensor.to_owned();
    }
    match vjp.input_name(1) {
        Ok(axes) => vjp.emit("Unsqueeze", &[tensor, axes], vec![]),
        // All axes are reduced: a scalar broadcasts as it is.
        Err(_) => tensor.to_owned(),
    }
}

/// `tensor`, whose reduced axes are 1, in the shape of `x`. What is not reduced has its length
/// already, so that a later run may have another batch.
fn spread(vjp: &mut Vjp, tensor: &str) -> Result<String> {
    let (x, y) = (vjp.input_shape(0)?, vjp.output_shape()?);
    let shape = if x.len() == y.len() && x.first() == y.first() {
        let shape: Vec<i64> = x.iter().zip(y).map(|(&x, &y)| if x == y { 1 } else { x as i64 }).collect();
        vjp.backward.int64s(&shape)
    } else {
        vjp.emit("Shape", &[vjp.wanted()], vec![])
    };
    Ok(vjp.emit("Expand", &[tensor, &shape], vec![]))
}

/// `y = Σ x`, `dx = dy` at every place. <https://onnx.ai/onnx/operators/onnx__ReduceSum.html>, opset
/// 13 on.
pub fn sum(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Ok(None);
    }
    let grad = vjp.grad()?;
    let grad = put_axes_back(vjp, &grad);
    spread(vjp, &grad).map(Some)
}

/// `y = mean of x over some axes`, `dx = dy / count` at every place.
///
/// <https://onnx.ai/onnx/operators/onnx__ReduceMean.html>;
/// <https://onnx.ai/onnx/operators/onnx__GlobalAveragePool.html>, opset 1 on.
pub fn mean(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Ok(None);
    }
    let grad = vjp.grad()?;
    let count = |shape: &[usize]| shape.iter().product::<usize>() as f32;
    let share = vjp.backward.scalar(count(vjp.output_shape()?) / count(vjp.input_shape(0)?));
    let share = vjp.emit("Mul", &[&grad, &share], vec![]);
    let share = put_axes_back(vjp, &share);
    spread(vjp, &share).map(Some)
}

/// `y = max x` or the least: `dx = dy` at its place, shared out among equals as PyTorch does.
///
/// <https://onnx.ai/onnx/operators/onnx__ReduceMax.html>,
/// <https://onnx.ai/onnx/operators/onnx__ReduceMin.html>;
/// <https://onnx.ai/onnx/operators/onnx__GlobalMaxPool.html>, opset 1 on.
pub fn extreme(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Ok(None);
    }
    let grad = vjp.grad()?;
    let x = vjp.wanted();
    let y = put_axes_back(vjp, vjp.output_name());
    let grad = put_axes_back(vjp, &grad);
    let wins = vjp.emit("Equal", &[x, &y], vec![]);
    let wins = vjp.emit("CastLike", &[&wins, &grad], vec![]);
    let count = if vjp.node.op() == "GlobalMaxPool" {
        let spatial: Vec<i64> = (2..vjp.input_shape(0)?.len() as i64).collect();
        let axes = vjp.backward.int64s(&spatial);
        vjp.emit("ReduceSum", &[&wins, &axes], vec![])
    } else {
        let axes = vjp.input_name(1).unwrap_or("");
        vjp.emit("ReduceSum", &[&wins, axes], vec![Attribute::from_int("keepdims", 1)])
    };
    let share = vjp.emit("Div", &[&grad, &count], vec![]);
    Ok(Some(vjp.emit("Mul", &[&wins, &share], vec![])))
}

/// `y = Σ x²`, `dx = 2 x dy`. <https://onnx.ai/onnx/operators/onnx__ReduceSumSquare.html>
pub fn sum_square(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Ok(None);
    }
    let grad = vjp.grad()?;
    let two = vjp.backward.scalar(2.0);
    let doubled = vjp.emit("Mul", &[&grad, &two], vec![]);
    let doubled = put_axes_back(vjp, &doubled);
    Ok(Some(vjp.emit("Mul", &[vjp.wanted(), &doubled], vec![])))
}

/// `y = Σ |x|`, `dx = sign(x) dy`. <https://onnx.ai/onnx/operators/onnx__ReduceL1.html>
pub fn l1(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Ok(None);
    }
    let grad = vjp.grad()?;
    let grad = put_axes_back(vjp, &grad);
    let sign = vjp.emit("Sign", &[vjp.wanted()], vec![]);
    Ok(Some(vjp.emit("Mul", &[&sign, &grad], vec![])))
}

/// `y = √Σ x²`, `dx = x dy / y`. <https://onnx.ai/onnx/operators/onnx__ReduceL2.html>
pub fn l2(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Ok(None);
    }
    let grad = vjp.grad()?;
    let ratio = vjp.emit("Div", &[&grad, vjp.output_name()], vec![]);
    let ratio = put_axes_back(vjp, &ratio);
    Ok(Some(vjp.emit("Mul", &[vjp.wanted(), &ratio], vec![])))
}

/// `y = ln Σ exp(x)`, `dx = exp(x - y) dy`. <https://onnx.ai/onnx/operators/onnx__ReduceLogSumExp.html>
pub fn log_sum_exp(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Ok(None);
    }
    let grad = vjp.grad()?;
    let grad = put_axes_back(vjp, &grad);
    let y = put_axes_back(vjp, vjp.output_name());
    let below = vjp.emit("Sub", &[vjp.wanted(), &y], vec![]);
    let share = vjp.emit("Exp", &[&below], vec![]);
    Ok(Some(vjp.emit("Mul", &[&share, &grad], vec![])))
}

/// `y = ln Σ x`, `dx = dy exp(-y)` at every place. <https://onnx.ai/onnx/operators/onnx__ReduceLogSum.html>
pub fn log_sum(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Ok(None);
    }
    let grad = vjp.grad()?;
    let sum = vjp.emit("Exp", &[vjp.output_name()], vec![]);
    let share = vjp.emit("Div", &[&grad, &sum], vec![]);
    let share = put_axes_back(vjp, &share);
    spread(vjp, &share).map(Some)
}

/// `y = Π x`, `dx = dy y / x`; not for an `x` that is 0.
/// <https://onnx.ai/onnx/operators/onnx__ReduceProd.html>
pub fn product(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Ok(None);
    }
    let grad = vjp.grad()?;
    let whole = vjp.emit("Mul", &[&grad, vjp.output_name()], vec![]);
    let whole = put_axes_back(vjp, &whole);
    Ok(Some(vjp.emit("Div", &[&whole, vjp.wanted()], vec![])))
}
