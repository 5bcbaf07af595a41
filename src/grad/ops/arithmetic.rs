//! Element-wise arithmetic with broadcasting
//! (<https://github.com/onnx/onnx/blob/main/docs/Broadcasting.md>), opset 7 on.

use crate::grad::vjp::{Gradient, Vjp};
use crate::onnx::DataType;

/// `y = a + b + …`, `da = dy`. <https://onnx.ai/onnx/operators/onnx__Add.html>,
/// <https://onnx.ai/onnx/operators/onnx__Sum.html>
pub fn add(vjp: Vjp) -> Gradient {
    vjp.unbroadcast(vjp.dy()?)
}

/// `y = (a + b + …) / n`, `da = dy / n`. <https://onnx.ai/onnx/operators/onnx__Mean.html>
pub fn mean(vjp: Vjp) -> Gradient {
    vjp.unbroadcast(vjp.dy()? / vjp.node.input.len() as f32)
}

/// `y = a - b`, `da = dy`, `db = -dy`. <https://onnx.ai/onnx/operators/onnx__Sub.html>
pub fn sub(vjp: Vjp) -> Gradient {
    let dy = vjp.dy()?;
    vjp.unbroadcast(if vjp.input == 0 { dy } else { -dy })
}

/// `y = a b`, `da = dy b`, `db = dy a`. <https://onnx.ai/onnx/operators/onnx__Mul.html>
pub fn mul(vjp: Vjp) -> Gradient {
    vjp.unbroadcast(vjp.dy()? * vjp.operand(1 - vjp.input)?)
}

/// `y = a / b`, `da = dy / b`, `db = -dy y / b`. <https://onnx.ai/onnx/operators/onnx__Div.html>
pub fn div(vjp: Vjp) -> Gradient {
    let ratio = vjp.dy()? / vjp.operand(1)?;
    vjp.unbroadcast(if vjp.input == 0 { ratio } else { -(ratio * vjp.y()) })
}

/// `y = a^b`, `da = dy b a^(b-1)`, `db = dy y ln a`. <https://onnx.ai/onnx/operators/onnx__Pow.html>
pub fn pow(vjp: Vjp) -> Gradient {
    let (a, b) = (vjp.operand(0)?, vjp.operand(1)?);
    let slope = if vjp.input == 0 {
        // The exponent may be an integer tensor; the output has the type of the base.
        let b = b.cast_like(a);
        a.pow(b - 1.0) * b
    } else {
        a.log() * vjp.y()
    };
    vjp.unbroadcast(vjp.dy()? * slope)
}

/// `y = -x`, `dx = -dy`. <https://onnx.ai/onnx/operators/onnx__Neg.html>
pub fn neg(vjp: Vjp) -> Gradient {
    Ok(Some(-vjp.dy()?))
}

/// `y = |x|`, `dx = dy sign(x)`. <https://onnx.ai/onnx/operators/onnx__Abs.html>
pub fn abs(vjp: Vjp) -> Gradient {
    vjp.chain(vjp.x().sign())
}

/// `y = √x`, `dx = dy / 2y`. <https://onnx.ai/onnx/operators/onnx__Sqrt.html>
pub fn sqrt(vjp: Vjp) -> Gradient {
    Ok(Some(vjp.dy()? / vjp.y() * 0.5))
}

/// `y = sin x`, `dx = dy cos x`. <https://onnx.ai/onnx/operators/onnx__Sin.html>
pub fn sin(vjp: Vjp) -> Gradient {
    vjp.chain(vjp.x().cos())
}

/// `y = cos x`, `dx = -dy sin x`. <https://onnx.ai/onnx/operators/onnx__Cos.html>
pub fn cos(vjp: Vjp) -> Gradient {
    Ok(Some(-(vjp.dy()? * vjp.x().sin())))
}

/// `y = exp(x)`, `dx = dy y`. <https://onnx.ai/onnx/operators/onnx__Exp.html>
pub fn exp(vjp: Vjp) -> Gradient {
    vjp.chain(vjp.y())
}

/// `y = ln x`, `dx = dy / x`. <https://onnx.ai/onnx/operators/onnx__Log.html>
pub fn log(vjp: Vjp) -> Gradient {
    Ok(Some(vjp.dy()? / vjp.x()))
}

/// `y = 1/x`, `dx = -dy y²`. <https://onnx.ai/onnx/operators/onnx__Reciprocal.html>
pub fn reciprocal(vjp: Vjp) -> Gradient {
    let y = vjp.y();
    Ok(Some(-(vjp.dy()? * (y * y))))
}

/// `y = max(a, b, …)` or `min(a, b, …)`: `da = dy where a = y`, divided among equal inputs as in PyTorch.
///
/// <https://onnx.ai/onnx/operators/onnx__Max.html>, <https://onnx.ai/onnx/operators/onnx__Min.html>, opset 8 on.
pub fn extreme(vjp: Vjp) -> Gradient {
    let (y, dy) = (vjp.y(), vjp.dy()?);
    let operands = vjp.node.input.iter().map(|name| vjp.writer.tensor(name.as_str()));
    let wins: Vec<_> = operands.map(|operand| operand.equals(y).cast_like(dy)).collect();
    let count = vjp.writer.sum(&wins);
    if vjp.infinite {
        return vjp.unbroadcast(vjp.operand(vjp.input)?.equals(y).choose(dy / count, 0.0));
    }
    vjp.unbroadcast(dy * (wins[vjp.input] / count))
}

/// `y = a where condition, else b`. <https://onnx.ai/onnx/operators/onnx__Where.html>, opset 9 on.
pub fn choice(vjp: Vjp) -> Gradient {
    let (condition, dy) = (vjp.operand(0)?, vjp.dy()?);
    vjp.unbroadcast(match vjp.input {
        1 => vjp.masked(dy, condition),
        2 => vjp.masked(dy, !condition),
        _ => return Ok(None),
    })
}

/// `y = x in another type`, `dx = dy`, because the backward pass is float32 throughout.
/// <https://onnx.ai/onnx/operators/onnx__Cast.html>, opset 6 on. Between float types only.
pub fn cast(vjp: Vjp) -> Gradient {
    let to = vjp.node.int("to").and_then(|to| DataType::from_number(i32::try_from(to).ok()?));
    if !to.is_some_and(DataType::is_float) {
        return Ok(None);
    }
    vjp.dy().map(Some)
}

/// `y = x in the type of another tensor`, `dx = dy`.
/// <https://onnx.ai/onnx/operators/onnx__CastLike.html>, opset 15 on. To float types only.
pub fn cast_like(vjp: Vjp) -> Gradient {
    if vjp.input != 0 || !vjp.kind(vjp.y_name()).is_some_and(DataType::is_float) {
        return Ok(None);
    }
    vjp.dy().map(Some)
}

/// `y = x broadcast to a larger shape`, `dx = Σ dy` over the broadcast axes.
/// <https://onnx.ai/onnx/operators/onnx__Expand.html>, opset 8 on.
pub fn expand(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Ok(None);
    }
    vjp.unbroadcast(vjp.dy()?)
}

/// `y = x repeated along its axes`, `dx = Σ dy` over the repetitions.
/// <https://onnx.ai/onnx/operators/onnx__Tile.html>, opset 6 on.
pub fn tile(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Ok(None);
    }
    let (x, y) = (vjp.operand_shape(0)?, vjp.y_shape()?);
    let mut repetitions: Vec<i64> = x.iter().zip(y).flat_map(|(&x, &y)| [(y / x.max(1)) as i64, x as i64]).collect();
    // A later run may have another batch size.
    if let Some(batch) = repetitions.get_mut(1) {
        *batch = -1;
    }
    let repeated: Vec<i64> = (0..x.len() as i64).map(|axis| axis * 2).collect();
    Ok(Some(vjp.dy()?.reshape(&repetitions).sum_away(&repeated)))
}
