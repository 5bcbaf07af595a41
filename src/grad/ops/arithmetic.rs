//! Element-wise arithmetic with broadcasting
//! (<https://github.com/onnx/onnx/blob/main/docs/Broadcasting.md>), opset 7 on.

use crate::error::Result;
use crate::grad::Vjp;
use crate::onnx::DataType;
use crate::onnx::proto::Attribute;

/// `y = a + b + …`, `da = dy`. <https://onnx.ai/onnx/operators/onnx__Add.html>,
/// <https://onnx.ai/onnx/operators/onnx__Sum.html>
pub fn add(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    vjp.unbroadcast(grad).map(Some)
}

/// `y = (a + b + …) / n`, `da = dy / n`. <https://onnx.ai/onnx/operators/onnx__Mean.html>
pub fn mean(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let count = vjp.backward.scalar(vjp.node.input.len() as f32);
    let share = vjp.emit("Div", &[&grad, &count], vec![]);
    vjp.unbroadcast(share).map(Some)
}

/// `y = a - b`, `da = dy`, `db = -dy`. <https://onnx.ai/onnx/operators/onnx__Sub.html>
pub fn sub(vjp: &mut Vjp) -> Result<Option<String>> {
    let mut grad = vjp.grad()?;
    if vjp.input == 1 {
        grad = vjp.emit("Neg", &[&grad], vec![]);
    }
    vjp.unbroadcast(grad).map(Some)
}

/// `y = a b`, `da = dy b`, `db = dy a`. <https://onnx.ai/onnx/operators/onnx__Mul.html>
pub fn mul(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let other = vjp.input_name(1 - vjp.input)?;
    let grad = vjp.emit("Mul", &[&grad, other], vec![]);
    vjp.unbroadcast(grad).map(Some)
}

/// `y = a / b`, `da = dy / b`, `db = -dy y / b`. <https://onnx.ai/onnx/operators/onnx__Div.html>
pub fn div(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let mut grad = vjp.emit("Div", &[&grad, vjp.input_name(1)?], vec![]);
    if vjp.input == 1 {
        grad = vjp.emit("Mul", &[&grad, vjp.output_name()], vec![]);
        grad = vjp.emit("Neg", &[&grad], vec![]);
    }
    vjp.unbroadcast(grad).map(Some)
}

/// `y = a^b`, `da = dy b a^(b-1)`, `db = dy y ln a`. <https://onnx.ai/onnx/operators/onnx__Pow.html>
pub fn pow(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let (base, exponent) = (vjp.input_name(0)?, vjp.input_name(1)?);
    let slope = if vjp.input == 0 {
        // The exponent may be an integer tensor; the base's type is the output's.
        let exponent = vjp.emit("CastLike", &[exponent, base], vec![]);
        let one = vjp.backward.scalar(1.0);
        let lower = vjp.emit("Sub", &[&exponent, &one], vec![]);
        let power = vjp.emit("Pow", &[base, &lower], vec![]);
        vjp.emit("Mul", &[&power, &exponent], vec![])
    } else {
        let log = vjp.emit("Log", &[base], vec![]);
        vjp.emit("Mul", &[&log, vjp.output_name()], vec![])
    };
    let grad = vjp.emit("Mul", &[&grad, &slope], vec![]);
    vjp.unbroadcast(grad).map(Some)
}

/// `y = -x`, `dx = -dy`. <https://onnx.ai/onnx/operators/onnx__Neg.html>
pub fn neg(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    Ok(Some(vjp.emit("Neg", &[&grad], vec![])))
}

/// `y = |x|`, `dx = dy sign(x)`. <https://onnx.ai/onnx/operators/onnx__Abs.html>
pub fn abs(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let sign = vjp.emit("Sign", &[vjp.wanted()], vec![]);
    Ok(Some(vjp.emit("Mul", &[&grad, &sign], vec![])))
}

/// `y = √x`, `dx = dy / 2y`. <https://onnx.ai/onnx/operators/onnx__Sqrt.html>
pub fn sqrt(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let half = vjp.backward.scalar(0.5);
    let ratio = vjp.emit("Div", &[&grad, vjp.output_name()], vec![]);
    Ok(Some(vjp.emit("Mul", &[&ratio, &half], vec![])))
}

/// `y = sin x`, `dx = dy cos x`. <https://onnx.ai/onnx/operators/onnx__Sin.html>
pub fn sin(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let slope = vjp.emit("Cos", &[vjp.wanted()], vec![]);
    Ok(Some(vjp.emit("Mul", &[&grad, &slope], vec![])))
}

/// `y = cos x`, `dx = -dy sin x`. <https://onnx.ai/onnx/operators/onnx__Cos.html>
pub fn cos(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let slope = vjp.emit("Sin", &[vjp.wanted()], vec![]);
    let product = vjp.emit("Mul", &[&grad, &slope], vec![]);
    Ok(Some(vjp.emit("Neg", &[&product], vec![])))
}

/// `y = exp(x)`, `dx = dy y`. <https://onnx.ai/onnx/operators/onnx__Exp.html>
pub fn exp(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    Ok(Some(vjp.emit("Mul", &[&grad, vjp.output_name()], vec![])))
}

/// `y = ln x`, `dx = dy / x`. <https://onnx.ai/onnx/operators/onnx__Log.html>
pub fn log(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    Ok(Some(vjp.emit("Div", &[&grad, vjp.wanted()], vec![])))
}

/// `y = 1/x`, `dx = -dy y²`. <https://onnx.ai/onnx/operators/onnx__Reciprocal.html>
pub fn reciprocal(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let y = vjp.output_name();
    let squared = vjp.emit("Mul", &[y, y], vec![]);
    let product = vjp.emit("Mul", &[&grad, &squared], vec![]);
    Ok(Some(vjp.emit("Neg", &[&product], vec![])))
}

/// `y = max(a, b, …)` or the least: `da = dy` where `a` is it, shared out among equals as PyTorch does.
///
/// <https://onnx.ai/onnx/operators/onnx__Max.html>, <https://onnx.ai/onnx/operators/onnx__Min.html>,
/// opset 8 on.
pub fn extreme(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let mut winners = Vec::new();
    for input in &vjp.node.input {
        let wins = vjp.emit("Equal", &[input, vjp.output_name()], vec![]);
        winners.push(vjp.emit("CastLike", &[&wins, &grad], vec![]));
    }
    let own = winners[vjp.input].clone();
    let count = vjp.backward.sum(winners);
    let share = vjp.emit("Div", &[&own, &count], vec![]);
    let grad = vjp.emit("Mul", &[&grad, &share], vec![]);
    vjp.unbroadcast(grad).map(Some)
}

/// `y = a where condition, else b`. <https://onnx.ai/onnx/operators/onnx__Where.html>, opset 9 on.
pub fn choice(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let zero = vjp.backward.scalar(0.0);
    let condition = vjp.input_name(0)?;
    let grad = match vjp.input {
        1 => vjp.emit("Where", &[condition, &grad, &zero], vec![]),
        2 => vjp.emit("Where", &[condition, &zero, &grad], vec![]),
        _ => return Ok(None),
    };
    vjp.unbroadcast(grad).map(Some)
}

/// `y = x as another type`, `dx = dy`, since the backward pass is float32 throughout.
/// <https://onnx.ai/onnx/operators/onnx__Cast.html>, opset 6 on. Between float types only.
pub fn cast(vjp: &mut Vjp) -> Result<Option<String>> {
    let to = vjp.node.int("to").and_then(|to| DataType::from_number(i32::try_from(to).ok()?));
    if !to.is_some_and(DataType::is_float) {
        return Ok(None);
    }
    vjp.grad().map(Some)
}

/// `y = x as the type of another tensor`. <https://onnx.ai/onnx/operators/onnx__CastLike.html>, opset 15 on.
pub fn cast_like(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 || !vjp.kind(vjp.output_name()).is_some_and(DataType::is_float) {
        return Ok(None);
    }
    vjp.grad().map(Some)
}

/// `y = x expanded to a larger shape`, `dx = dy summed over what was expanded`.
/// <https://onnx.ai/onnx/operators/onnx__Expand.html>, opset 8 on.
pub fn expand(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Ok(None);
    }
    let grad = vjp.grad()?;
    vjp.unbroadcast(grad).map(Some)
}

/// `y = x repeated along its axes`, `dx = Σ over the repetitions of dy`.
/// <https://onnx.ai/onnx/operators/onnx__Tile.html>, opset 6 on.
pub fn tile(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Ok(None);
    }
    let grad = vjp.grad()?;
    let (x, y) = (vjp.input_shape(0)?, vjp.output_shape()?);
    let mut apart: Vec<i64> = x.iter().zip(y).flat_map(|(&x, &y)| [(y / x.max(1)) as i64, x as i64]).collect();
    // The batch may have another size in a later run.
    if let Some(batch) = apart.get_mut(1) {
        *batch = -1;
    }
    let apart = vjp.backward.int64s(&apart);
    let axes: Vec<i64> = (0..x.len() as i64).map(|axis| axis * 2).collect();
    let axes = vjp.backward.int64s(&axes);
    let split = vjp.emit("Reshape", &[&grad, &apart], vec![]);
    Ok(Some(vjp.emit("ReduceSum", &[&split, &axes], vec![Attribute::from_int("keepdims", 0)])))
}
