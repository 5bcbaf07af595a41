//! Element-wise activations.

use std::f32::consts::{FRAC_1_SQRT_2, PI};

use crate::error::Result;
use crate::grad::{Backward, Vjp};

/// `dx = dy where condition, else dy times slope`.
fn choose(vjp: &mut Vjp, condition: &str, slope: &str) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let scaled = vjp.emit("Mul", &[&grad, slope], vec![]);
    Ok(Some(vjp.emit("Where", &[condition, &grad, &scaled], vec![])))
}

/// `dx = dy times slope`.
fn scale(vjp: &mut Vjp, slope: &str) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    Ok(Some(vjp.emit("Mul", &[&grad, slope], vec![])))
}

fn above_zero(vjp: &mut Vjp, tensor: &str) -> String {
    let zero = vjp.backward.scalar(0.0);
    vjp.emit("Greater", &[tensor, &zero], vec![])
}

/// `y = max(x, 0)`, `dx = dy where y > 0, else 0`.
///
/// <https://onnx.ai/onnx/operators/onnx__Relu.html>, opset 6 on. The gradient at 0 is 0, as in
/// PyTorch.
pub fn relu(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let active = above_zero(vjp, vjp.output_name());
    let zero = vjp.backward.scalar(0.0);
    Ok(Some(vjp.emit("Where", &[&active, &grad, &zero], vec![])))
}

/// `y = x where x > 0, else α x`. <https://onnx.ai/onnx/operators/onnx__LeakyRelu.html>, opset 6 on.
pub fn leaky_relu(vjp: &mut Vjp) -> Result<Option<String>> {
    let alpha = vjp.node.float("alpha").unwrap_or(0.01);
    // The sign of y is that of x, and a runtime may have y alone, fused with what made x.
    let active = above_zero(vjp, if alpha > 0.0 { vjp.output_name() } else { vjp.wanted() });
    let slope = vjp.backward.scalar(alpha);
    choose(vjp, &active, &slope)
}

/// `y = x where x > 0, else slope x`. <https://onnx.ai/onnx/operators/onnx__PRelu.html>, opset 7 on.
pub fn prelu(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Err(vjp.unsupported("its slope"));
    }
    let active = above_zero(vjp, vjp.wanted());
    let slope = vjp.input_name(1)?;
    choose(vjp, &active, slope)
}

/// `y = x where x > 0, else α (exp(x) - 1)`, whose slope there is `y + α`.
/// <https://onnx.ai/onnx/operators/onnx__Elu.html>, opset 6 on.
pub fn elu(vjp: &mut Vjp) -> Result<Option<String>> {
    let active = above_zero(vjp, vjp.output_name());
    let alpha = vjp.backward.scalar(vjp.node.float("alpha").unwrap_or(1.0));
    let slope = vjp.emit("Add", &[vjp.output_name(), &alpha], vec![]);
    choose(vjp, &active, &slope)
}

/// `y = γ x where x > 0, else γ α (exp(x) - 1)`, whose slope there is `y + γ α`.
/// <https://onnx.ai/onnx/operators/onnx__Selu.html>, opset 6 on.
pub fn selu(vjp: &mut Vjp) -> Result<Option<String>> {
    let alpha = vjp.node.float("alpha").unwrap_or(1.673_263_2);
    let gamma = vjp.node.float("gamma").unwrap_or(1.050_701);
    let active = above_zero(vjp, vjp.output_name());
    let offset = vjp.backward.scalar(alpha * gamma);
    let gamma = vjp.backward.scalar(gamma);
    let below = vjp.emit("Add", &[vjp.output_name(), &offset], vec![]);
    let slope = vjp.emit("Where", &[&active, &gamma, &below], vec![]);
    scale(vjp, &slope)
}

/// `y = x where x > 0, else α (exp(x/α) - 1)`, whose slope there is `y/α + 1`.
/// <https://onnx.ai/onnx/operators/onnx__Celu.html>, opset 12 on.
pub fn celu(vjp: &mut Vjp) -> Result<Option<String>> {
    let active = above_zero(vjp, vjp.output_name());
    let alpha = vjp.backward.scalar(vjp.node.float("alpha").unwrap_or(1.0));
    let one = vjp.backward.scalar(1.0);
    let ratio = vjp.emit("Div", &[vjp.output_name(), &alpha], vec![]);
    let slope = vjp.emit("Add", &[&ratio, &one], vec![]);
    choose(vjp, &active, &slope)
}

/// `y = min(max(x, low), high)`, `dx = dy where low < x < high, else 0`.
///
/// <https://onnx.ai/onnx/operators/onnx__Clip.html>, opset 11 on. At a bound the gradient is 0, as
/// for PyTorch's ReLU6, which is exported so.
pub fn clip(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Err(vjp.unsupported("its bounds"));
    }
    let mut grad = vjp.grad()?;
    let zero = vjp.backward.scalar(0.0);
    for (input, op) in [(1, "Greater"), (2, "Less")] {
        if let Ok(bound) = vjp.input_name(input) {
            let inside = vjp.emit(op, &[vjp.output_name(), bound], vec![]);
            grad = vjp.emit("Where", &[&inside, &grad, &zero], vec![]);
        }
    }
    Ok(Some(grad))
}

/// `y = 1 / (1 + exp(-x))`, `dx = dy y (1 - y)`.
///
/// <https://onnx.ai/onnx/operators/onnx__Sigmoid.html>, opset 6 on.
pub fn sigmoid(vjp: &mut Vjp) -> Result<Option<String>> {
    let slope = sigmoid_slope(vjp, vjp.output_name());
    scale(vjp, &slope)
}

/// `s (1 - s)`.
fn sigmoid_slope(vjp: &mut Vjp, s: &str) -> String {
    let one = vjp.backward.scalar(1.0);
    let rest = vjp.emit("Sub", &[&one, s], vec![]);
    vjp.emit("Mul", &[s, &rest], vec![])
}

/// `y = min(max(α x + β, 0), 1)`, `dx = α dy where 0 < y < 1, else 0`.
///
/// <https://onnx.ai/onnx/operators/onnx__HardSigmoid.html>, opset 6 on.
pub fn hard_sigmoid(vjp: &mut Vjp) -> Result<Option<String>> {
    let alpha = vjp.backward.scalar(vjp.node.float("alpha").unwrap_or(0.2));
    let (zero, one) = (vjp.backward.scalar(0.0), vjp.backward.scalar(1.0));
    let above = vjp.emit("Greater", &[vjp.output_name(), &zero], vec![]);
    let below = vjp.emit("Less", &[vjp.output_name(), &one], vec![]);
    let inside = vjp.emit("And", &[&above, &below], vec![]);
    let slope = vjp.emit("Where", &[&inside, &alpha, &zero], vec![]);
    scale(vjp, &slope)
}

/// `y = x min(max(x/6 + 1/2, 0), 1)`, whose slope is `x/3 + 1/2` within -3..3, else 0 or 1.
///
/// <https://onnx.ai/onnx/operators/onnx__HardSwish.html>, opset 14 on; Howard et al., *Searching for
/// MobileNetV3*, 2019.
pub fn hard_swish(vjp: &mut Vjp) -> Result<Option<String>> {
    let x = vjp.wanted();
    let [third, half, three, minus_three, zero, one] =
        [1.0 / 3.0, 0.5, 3.0, -3.0, 0.0, 1.0].map(|v| vjp.backward.scalar(v));
    let ramp = vjp.emit("Mul", &[x, &third], vec![]);
    let ramp = vjp.emit("Add", &[&ramp, &half], vec![]);
    let high = vjp.emit("GreaterOrEqual", &[x, &three], vec![]);
    let low = vjp.emit("LessOrEqual", &[x, &minus_three], vec![]);
    let slope = vjp.emit("Where", &[&high, &one, &ramp], vec![]);
    let slope = vjp.emit("Where", &[&low, &zero, &slope], vec![]);
    scale(vjp, &slope)
}

/// `y = x t`, `t = tanh(softplus(x))`, `dx = dy (t + x (1 - t²) sigmoid(x))`.
///
/// <https://onnx.ai/onnx/operators/onnx__Mish.html>, opset 18 on; Misra, *Mish*, 2019.
pub fn mish(vjp: &mut Vjp) -> Result<Option<String>> {
    let x = vjp.wanted();
    let one = vjp.backward.scalar(1.0);
    let softplus = vjp.emit("Softplus", &[x], vec![]);
    let t = vjp.emit("Tanh", &[&softplus], vec![]);
    let squared = vjp.emit("Mul", &[&t, &t], vec![]);
    let rest = vjp.emit("Sub", &[&one, &squared], vec![]);
    let s = vjp.emit("Sigmoid", &[x], vec![]);
    let product = vjp.emit("Mul", &[&rest, &s], vec![]);
    let product = vjp.emit("Mul", &[&product, x], vec![]);
    let slope = vjp.emit("Add", &[&t, &product], vec![]);
    scale(vjp, &slope)
}

/// `y = x s`, `s = sigmoid(α x)`, `dx = dy (s + α y (1 - s))`.
///
/// <https://onnx.ai/onnx/operators/onnx__Swish.html>, opset 24 on; Ramachandran, Zoph and Le,
/// *Searching for Activation Functions*, 2017.
pub fn swish(vjp: &mut Vjp) -> Result<Option<String>> {
    let alpha = vjp.backward.scalar(vjp.node.float("alpha").unwrap_or(1.0));
    let one = vjp.backward.scalar(1.0);
    let scaled = vjp.emit("Mul", &[vjp.wanted(), &alpha], vec![]);
    let s = vjp.emit("Sigmoid", &[&scaled], vec![]);
    let rest = vjp.emit("Sub", &[&one, &s], vec![]);
    let bend = vjp.emit("Mul", &[vjp.output_name(), &rest], vec![]);
    let bend = vjp.emit("Mul", &[&bend, &alpha], vec![]);
    let slope = vjp.emit("Add", &[&s, &bend], vec![]);
    scale(vjp, &slope)
}

/// `y = x where x > α, else 0`. <https://onnx.ai/onnx/operators/onnx__ThresholdedRelu.html>, opset 10 on.
pub fn thresholded_relu(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let alpha = vjp.backward.scalar(vjp.node.float("alpha").unwrap_or(1.0));
    let zero = vjp.backward.scalar(0.0);
    let active = vjp.emit("Greater", &[vjp.wanted(), &alpha], vec![]);
    Ok(Some(vjp.emit("Where", &[&active, &grad, &zero], vec![])))
}

/// `y = x moved towards 0 by a bias where |x| > λ, else 0`.
/// <https://onnx.ai/onnx/operators/onnx__Shrink.html>, opset 9 on.
pub fn shrink(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let lambda = vjp.backward.scalar(vjp.node.float("lambd").unwrap_or(0.5));
    let zero = vjp.backward.scalar(0.0);
    let size = vjp.emit("Abs", &[vjp.wanted()], vec![]);
    let active = vjp.emit("Greater", &[&size, &lambda], vec![]);
    Ok(Some(vjp.emit("Where", &[&active, &grad, &zero], vec![])))
}

/// `y = ln(1 + exp(x))`, `dx = dy sigmoid(x)`.
///
/// <https://onnx.ai/onnx/operators/onnx__Softplus.html>, opset 1 on.
pub fn softplus(vjp: &mut Vjp) -> Result<Option<String>> {
    let slope = vjp.emit("Sigmoid", &[vjp.wanted()], vec![]);
    scale(vjp, &slope)
}

/// `y = x / (1 + |x|)`, `dx = dy / (1 + |x|)²`.
///
/// <https://onnx.ai/onnx/operators/onnx__Softsign.html>, opset 1 on.
pub fn softsign(vjp: &mut Vjp) -> Result<Option<String>> {
    let one = vjp.backward.scalar(1.0);
    let size = vjp.emit("Abs", &[vjp.wanted()], vec![]);
    let base = vjp.emit("Add", &[&size, &one], vec![]);
    let squared = vjp.emit("Mul", &[&base, &base], vec![]);
    let slope = vjp.emit("Reciprocal", &[&squared], vec![]);
    scale(vjp, &slope)
}

/// `y = atan(x)`, `dx = dy / (1 + x²)`.
///
/// <https://onnx.ai/onnx/operators/onnx__Atan.html>, opset 7 on.
pub fn atan(vjp: &mut Vjp) -> Result<Option<String>> {
    let one = vjp.backward.scalar(1.0);
    let squared = vjp.emit("Mul", &[vjp.wanted(), vjp.wanted()], vec![]);
    let base = vjp.emit("Add", &[&one, &squared], vec![]);
    let slope = vjp.emit("Reciprocal", &[&base], vec![]);
    scale(vjp, &slope)
}

/// `y = tanh(x)`, `dx = dy (1 - y²)`.
///
/// <https://onnx.ai/onnx/operators/onnx__Tanh.html>, opset 6 on.
pub fn tanh(vjp: &mut Vjp) -> Result<Option<String>> {
    let y = vjp.output_name();
    let one = vjp.backward.scalar(1.0);
    let squared = vjp.emit("Mul", &[y, y], vec![]);
    let slope = vjp.emit("Sub", &[&one, &squared], vec![]);
    scale(vjp, &slope)
}

/// `y = erf(x)`, `dx = dy 2/√π exp(-x²)`.
///
/// <https://onnx.ai/onnx/operators/onnx__Erf.html>, opset 9 on.
pub fn erf(vjp: &mut Vjp) -> Result<Option<String>> {
    let x = vjp.wanted();
    let height = vjp.backward.scalar(2.0 / PI.sqrt());
    let squared = vjp.emit("Mul", &[x, x], vec![]);
    let exponent = vjp.emit("Neg", &[&squared], vec![]);
    let bell = vjp.emit("Exp", &[&exponent], vec![]);
    let slope = vjp.emit("Mul", &[&bell, &height], vec![]);
    scale(vjp, &slope)
}

/// `y = x Φ(x)`, `dx = dy (Φ(x) + x φ(x))`; or with `approximate="tanh"`
/// `y = x (1 + t)/2`, `t = tanh(√(2/π) (x + 0.044715 x³))`.
///
/// <https://onnx.ai/onnx/operators/onnx__Gelu.html>, opset 20 on; Hendrycks and Gimpel, *Gaussian
/// Error Linear Units*, 2016.
pub fn gelu(vjp: &mut Vjp) -> Result<Option<String>> {
    let x = vjp.wanted();
    if vjp.node.string("approximate") == Some("tanh") {
        let slope = tanh_gelu_slope(vjp, x);
        return scale(vjp, &slope);
    }
    let slope = gelu_slope(vjp.backward, x);
    scale(vjp, &slope)
}

/// `Φ(x) + x φ(x)`.
pub fn gelu_slope(backward: &mut Backward, x: &str) -> String {
    let [one, half, root, steepness, height] =
        [1.0, 0.5, FRAC_1_SQRT_2, -0.5, 1.0 / (2.0 * PI).sqrt()].map(|v| backward.scalar(v));
    let scaled = backward.emit("Mul", &[x, &root], vec![]);
    let erf = backward.emit("Erf", &[&scaled], vec![]);
    let cdf = backward.emit("Add", &[&erf, &one], vec![]);
    let cdf = backward.emit("Mul", &[&cdf, &half], vec![]);
    let squared = backward.emit("Mul", &[x, x], vec![]);
    let exponent = backward.emit("Mul", &[&squared, &steepness], vec![]);
    let bell = backward.emit("Exp", &[&exponent], vec![]);
    let density = backward.emit("Mul", &[&bell, &height], vec![]);
    let density = backward.emit("Mul", &[&density, x], vec![]);
    backward.emit("Add", &[&cdf, &density], vec![])
}

fn tanh_gelu_slope(vjp: &mut Vjp, x: &str) -> String {
    const CUBIC: f32 = 0.044_715;
    let [root, cubic, three_cubic, one, half] =
        [(2.0 / PI).sqrt(), CUBIC, 3.0 * CUBIC, 1.0, 0.5].map(|v| vjp.backward.scalar(v));
    let squared = vjp.emit("Mul", &[x, x], vec![]);
    let inner = vjp.emit("Mul", &[&squared, &cubic], vec![]);
    let inner = vjp.emit("Add", &[&inner, &one], vec![]);
    let inner = vjp.emit("Mul", &[&inner, x], vec![]);
    let inner = vjp.emit("Mul", &[&inner, &root], vec![]);
    let t = vjp.emit("Tanh", &[&inner], vec![]);
    let inner_slope = vjp.emit("Mul", &[&squared, &three_cubic], vec![]);
    let inner_slope = vjp.emit("Add", &[&inner_slope, &one], vec![]);
    let inner_slope = vjp.emit("Mul", &[&inner_slope, &root], vec![]);
    let t_squared = vjp.emit("Mul", &[&t, &t], vec![]);
    let rest = vjp.emit("Sub", &[&one, &t_squared], vec![]);
    let bend = vjp.emit("Mul", &[&rest, &inner_slope], vec![]);
    let bend = vjp.emit("Mul", &[&bend, x], vec![]);
    let slope = vjp.emit("Add", &[&t, &one], vec![]);
    let slope = vjp.emit("Add", &[&slope, &bend], vec![]);
    vjp.emit("Mul", &[&slope, &half], vec![])
}

/// `y = exp(x) / Σ exp(x)` along an axis, `dx = y (dy - Σ dy y)`.
///
/// <https://onnx.ai/onnx/operators/onnx__Softmax.html>, opset 13 on.
pub fn softmax(vjp: &mut Vjp) -> Result<Option<String>> {
    let (grad, y) = (vjp.grad()?, vjp.output_name());
    let weighted = vjp.emit("Mul", &[&grad, y], vec![]);
    let sum = sum_along_axis(vjp, &weighted);
    let rest = vjp.emit("Sub", &[&grad, &sum], vec![]);
    Ok(Some(vjp.emit("Mul", &[&rest, y], vec![])))
}

/// `y = x - ln Σ exp(x)` along an axis, `dx = dy - exp(y) Σ dy`.
///
/// <https://onnx.ai/onnx/operators/onnx__LogSoftmax.html>, opset 13 on.
pub fn log_softmax(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let sum = sum_along_axis(vjp, &grad);
    let softmax = vjp.emit("Exp", &[vjp.output_name()], vec![]);
    let product = vjp.emit("Mul", &[&softmax, &sum], vec![]);
    Ok(Some(vjp.emit("Sub", &[&grad, &product], vec![])))
}

fn sum_along_axis(vjp: &mut Vjp, tensor: &str) -> String {
    let axes = vjp.backward.int64s(&[vjp.node.int("axis").unwrap_or(-1)]);
    vjp.emit("ReduceSum", &[tensor, &axes], vec![])
}
