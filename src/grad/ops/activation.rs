//! Element-wise activations.

use std::f32::consts::{FRAC_1_SQRT_2, PI};

use crate::grad::value::{Operand, Value};
use crate::grad::vjp::{Gradient, Vjp};

/// `dx = dy yes where active, else dy no`.
fn either<'g>(vjp: Vjp<'g>, active: Value<'g>, yes: impl Operand<'g>, no: impl Operand<'g>) -> Gradient<'g> {
    let active = active.to_float();
    vjp.chain(active * yes + (1.0 - active) * no)
}

/// `dx = dy where active, else 0`.
fn pass_where<'g>(vjp: Vjp<'g>, active: Value<'g>) -> Gradient<'g> {
    Ok(Some(vjp.masked(vjp.dy()?, active)))
}

/// `y = max(x, 0)`, `dx = dy where y > 0, else 0`.
///
/// <https://onnx.ai/onnx/operators/onnx__Relu.html>, opset 6 on. The gradient at 0 is 0, as in PyTorch.
pub fn relu(vjp: Vjp) -> Gradient {
    pass_where(vjp, vjp.y().greater(0.0))
}

/// `y = x where x > 0, else α x`. <https://onnx.ai/onnx/operators/onnx__LeakyRelu.html>, opset 6 on.
pub fn leaky_relu(vjp: Vjp) -> Gradient {
    let alpha = vjp.float("alpha", 0.01);
    // For α > 0, y has the sign of x. Reading y lets a runtime fuse this op with the one that makes x.
    let signed = if alpha > 0.0 { vjp.y() } else { vjp.x() };
    let active = signed.greater(0.0);
    if (0.0..=1.0).contains(&alpha) {
        return vjp.chain(active.to_float().max(alpha));
    }
    either(vjp, active, 1.0, alpha)
}

/// `y = x where x > 0, else slope x`. <https://onnx.ai/onnx/operators/onnx__PRelu.html>, opset 7 on.
pub fn prelu(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Err(vjp.unsupported("its slope"));
    }
    either(vjp, vjp.x().greater(0.0), 1.0, vjp.operand(1)?)
}

/// `y = x where x > 0, else α (exp(x) - 1)`, whose slope there is `y + α`.
/// <https://onnx.ai/onnx/operators/onnx__Elu.html>, opset 6 on.
pub fn elu(vjp: Vjp) -> Gradient {
    let y = vjp.y();
    either(vjp, y.greater(0.0), 1.0, y + vjp.float("alpha", 1.0))
}

/// `y = γ x where x > 0, else γ α (exp(x) - 1)`, whose slope there is `y + γ α`.
/// <https://onnx.ai/onnx/operators/onnx__Selu.html>, opset 6 on.
pub fn selu(vjp: Vjp) -> Gradient {
    let y = vjp.y();
    let (alpha, gamma) = (vjp.float("alpha", 1.673_263_2), vjp.float("gamma", 1.050_701));
    either(vjp, y.greater(0.0), gamma, y + alpha * gamma)
}

/// `y = x where x > 0, else α (exp(x/α) - 1)`, whose slope there is `y/α + 1`.
/// <https://onnx.ai/onnx/operators/onnx__Celu.html>, opset 12 on.
pub fn celu(vjp: Vjp) -> Gradient {
    let y = vjp.y();
    either(vjp, y.greater(0.0), 1.0, y / vjp.float("alpha", 1.0) + 1.0)
}

/// `y = min(max(x, low), high)`, `dx = dy where low < y < high, else 0`.
///
/// <https://onnx.ai/onnx/operators/onnx__Clip.html>, opset 11 on. The gradient at a bound is 0, as in PyTorch's
/// ReLU6, which is exported as a Clip.
pub fn clip(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Err(vjp.unsupported("its bounds"));
    }
    let y = vjp.y();
    let above = vjp.operand(1).ok().map(|low| y.greater(low));
    let below = vjp.operand(2).ok().map(|high| y.less(high));
    match above.into_iter().chain(below).reduce(Value::and) {
        Some(inside) => pass_where(vjp, inside),
        None => vjp.dy().map(Some),
    }
}

/// `y = 1 / (1 + exp(-x))`, `dx = dy y (1 - y)`.
///
/// <https://onnx.ai/onnx/operators/onnx__Sigmoid.html>, opset 6 on.
pub fn sigmoid(vjp: Vjp) -> Gradient {
    let y = vjp.y();
    vjp.chain(y * (1.0 - y))
}

/// `y = min(max(α x + β, 0), 1)`, `dx = α dy where 0 < y < 1, else 0`.
///
/// <https://onnx.ai/onnx/operators/onnx__HardSigmoid.html>, opset 6 on.
pub fn hard_sigmoid(vjp: Vjp) -> Gradient {
    let y = vjp.y();
    let inside = y.greater(0.0).and(y.less(1.0));
    Ok(pass_where(vjp, inside)?.map(|dx| dx * vjp.float("alpha", 0.2)))
}

/// `y = x min(max(x/6 + 1/2, 0), 1)`, whose slope is 0 up to -3, 1 from 3 on, and `x/3 + 1/2` between.
///
/// <https://onnx.ai/onnx/operators/onnx__HardSwish.html>, opset 14 on; Howard et al., *Searching for
/// MobileNetV3*, 2019.
pub fn hard_swish(vjp: Vjp) -> Gradient {
    let x = vjp.x();
    let (rising, above) = (x.greater(-3.0).and(x.less(3.0)), x.at_least(3.0));
    vjp.chain(rising.to_float() * (x * (1.0 / 3.0) + 0.5) + above.to_float())
}

/// `y = x t`, `t = tanh(softplus(x))`, `dx = dy (t + x (1 - t²) sigmoid(x))`.
///
/// <https://onnx.ai/onnx/operators/onnx__Mish.html>, opset 18 on; Misra, *Mish*, 2019.
pub fn mish(vjp: Vjp) -> Gradient {
    let x = vjp.x();
    let t = x.softplus().tanh();
    vjp.chain(t + (1.0 - t * t) * x.sigmoid() * x)
}

/// `y = x s`, `s = sigmoid(α x)`, `dx = dy (s + α y (1 - s))`.
///
/// <https://onnx.ai/onnx/operators/onnx__Swish.html>, opset 24 on; Ramachandran, Zoph and Le, *Searching for
/// Activation Functions*, 2017.
pub fn swish(vjp: Vjp) -> Gradient {
    let alpha = vjp.float("alpha", 1.0);
    let s = (vjp.x() * alpha).sigmoid();
    vjp.chain(s + vjp.y() * (1.0 - s) * alpha)
}

/// `y = x where x > α, else 0`. <https://onnx.ai/onnx/operators/onnx__ThresholdedRelu.html>, opset 10 on.
pub fn thresholded_relu(vjp: Vjp) -> Gradient {
    pass_where(vjp, vjp.x().greater(vjp.float("alpha", 1.0)))
}

/// `y = x moved towards 0 by a bias where |x| > λ, else 0`.
/// <https://onnx.ai/onnx/operators/onnx__Shrink.html>, opset 9 on.
pub fn shrink(vjp: Vjp) -> Gradient {
    pass_where(vjp, vjp.x().abs().greater(vjp.float("lambd", 0.5)))
}

/// `y = ln(1 + exp(x))`, `dx = dy sigmoid(x)`.
///
/// <https://onnx.ai/onnx/operators/onnx__Softplus.html>, opset 1 on.
pub fn softplus(vjp: Vjp) -> Gradient {
    vjp.chain(vjp.x().sigmoid())
}

/// `y = x / (1 + |x|)`, `dx = dy / (1 + |x|)²`.
///
/// <https://onnx.ai/onnx/operators/onnx__Softsign.html>, opset 1 on.
pub fn softsign(vjp: Vjp) -> Gradient {
    let base = vjp.x().abs() + 1.0;
    vjp.chain((base * base).reciprocal())
}

/// `y = atan(x)`, `dx = dy / (1 + x²)`.
///
/// <https://onnx.ai/onnx/operators/onnx__Atan.html>, opset 7 on.
pub fn atan(vjp: Vjp) -> Gradient {
    let x = vjp.x();
    vjp.chain((1.0 + x * x).reciprocal())
}

/// `y = tanh(x)`, `dx = dy (1 - y²)`.
///
/// <https://onnx.ai/onnx/operators/onnx__Tanh.html>, opset 6 on.
pub fn tanh(vjp: Vjp) -> Gradient {
    let y = vjp.y();
    vjp.chain(1.0 - y * y)
}

/// `y = erf(x)`, `dx = dy 2/√π exp(-x²)`.
///
/// <https://onnx.ai/onnx/operators/onnx__Erf.html>, opset 9 on.
pub fn erf(vjp: Vjp) -> Gradient {
    let x = vjp.x();
    vjp.chain((-(x * x)).exp() * (2.0 / PI.sqrt()))
}

/// `y = x Φ(x)`, `dx = dy (Φ(x) + x φ(x))`; or with `approximate="tanh"`
/// `y = x (1 + t)/2`, `t = tanh(√(2/π) (x + 0.044715 x³))`.
///
/// <https://onnx.ai/onnx/operators/onnx__Gelu.html>, opset 20 on; Hendrycks and Gimpel, *Gaussian Error Linear
/// Units*, 2016.
pub fn gelu(vjp: Vjp) -> Gradient {
    let x = vjp.x();
    vjp.chain(if vjp.node.string("approximate") == Some("tanh") { tanh_gelu_slope(x) } else { gelu_slope(x) })
}

/// `Φ(x) + x φ(x)`, the slope of the exact GELU.
pub fn gelu_slope(x: Value) -> Value {
    let distribution = gelu_share(x);
    let density = (x * x * -0.5).exp() * (1.0 / (2.0 * PI).sqrt());
    distribution + density * x
}

/// `Φ(x)`, what the exact GELU leaves of `x`.
pub fn gelu_share(x: Value) -> Value {
    ((x * FRAC_1_SQRT_2).erf() + 1.0) * 0.5
}

/// `(1 + t + x (1 - t²) u')/2`, `t = tanh(u)`, `u = √(2/π) (x + 0.044715 x³)`.
fn tanh_gelu_slope(x: Value) -> Value {
    const CUBIC: f32 = 0.044_715;
    let root = (2.0 / PI).sqrt();
    let squared = x * x;
    let t = ((squared * CUBIC + 1.0) * x * root).tanh();
    let inner_slope = (squared * (3.0 * CUBIC) + 1.0) * root;
    (t + 1.0 + (1.0 - t * t) * inner_slope * x) * 0.5
}

/// `y = exp(x) / Σ exp(x)` along an axis, `dx = y (dy - Σ dy y)`.
///
/// <https://onnx.ai/onnx/operators/onnx__Softmax.html>, opset 13 on.
pub fn softmax(vjp: Vjp) -> Gradient {
    let (y, dy, axis) = (vjp.y(), vjp.dy()?, vjp.int("axis", -1));
    Ok(Some((dy - (dy * y).sum_over(&[axis])) * y))
}

/// `y = x - ln Σ exp(x)` along an axis, `dx = dy - exp(y) Σ dy`.
///
/// <https://onnx.ai/onnx/operators/onnx__LogSoftmax.html>, opset 13 on.
pub fn log_softmax(vjp: Vjp) -> Gradient {
    let (y, dy, axis) = (vjp.y(), vjp.dy()?, vjp.int("axis", -1));
    Ok(Some(dy - y.exp() * dy.sum_over(&[axis])))
}
