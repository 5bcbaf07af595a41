//! Pooling over windows.

use super::conv::Window;
use super::shape::scatter;
use crate::error::Result;
use crate::grad::Vjp;

/// `y = max over a window of x`, `dx[argmax] += dy`.
///
/// <https://onnx.ai/onnx/operators/onnx__MaxPool.html>, opset 8 on, whose second output holds the
/// places of the maxima in the flattened `x`. Of equal values the first takes the gradient.
pub fn max_pool(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    if vjp.node.int("storage_order").unwrap_or(0) != 0 {
        return Err(vjp.unsupported("column-major indices"));
    }
    let indices = vjp.backward.extra_output(vjp.place, 1);
    Ok(Some(scatter(vjp, &indices, &grad)))
}

/// `y = mean over a window of x`: each `x` of a window takes an equal share of `dy`, spread by a
/// transposed depthwise convolution with ones.
///
/// <https://onnx.ai/onnx/operators/onnx__AveragePool.html>, opset 7 on. Pads count for the mean with
/// `count_include_pad`, what `ceil_mode` adds beyond them never.
pub fn average_pool(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let (x, y) = (vjp.input_shape(0)?, vjp.output_shape()?);
    let channels = x[1] as i64;
    let Some(kernel) = vjp.node.ints("kernel_shape") else { return Err(vjp.error("it lacks kernel_shape")) };
    let window = Window::of(vjp.node, kernel.to_vec(), &x[2..], &y[2..]);
    // How many numbers each mean is over. It is the same for every picture and channel.
    let include_pads = vjp.node.int("count_include_pad").unwrap_or(0) != 0;
    let counts = counts(&window, &x[2..], &y[2..], include_pads);
    let mut count_shape = vec![1, 1];
    count_shape.extend(y[2..].iter().map(|&d| d as i64));
    let counts = vjp.backward.floats(&count_shape, &counts);
    let share = vjp.emit("Div", &[&grad, &counts], vec![]);

    Ok(Some(spread(vjp, &window, &share, channels, &x[2..], &y[2..])))
}

/// Gives each place of `x` the sum of `share` over the windows that hold it.
fn spread(vjp: &mut Vjp, window: &Window, share: &str, channels: i64, x: &[usize], y: &[usize]) -> String {
    let one = vjp.backward.scalar(1.0);
    let shape = [&[channels, 1], window.kernel.as_slice()].concat();
    let shape = vjp.backward.int64s(&shape);
    let ones = vjp.emit("Expand", &[&one, &shape], vec![]);
    window.transposed(vjp, share, &ones, channels, x, y)
}

/// `y = (Σ |x|^p)^(1/p)` over a window, `dx = sign(x) |x|^(p-1) Σ dy y^(1-p)` over the windows that hold
/// it. Where a window is all zeros the gradient is 0.
///
/// <https://onnx.ai/onnx/operators/onnx__LpPool.html>, opset 2 on.
pub fn lp_pool(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let (x, y) = (vjp.input_shape(0)?, vjp.output_shape()?);
    let Some(kernel) = vjp.node.ints("kernel_shape") else { return Err(vjp.error("it lacks kernel_shape")) };
    let window = Window::of(vjp.node, kernel.to_vec(), &x[2..], &y[2..]);
    let p = vjp.node.int("p").unwrap_or(2) as f32;
    let [zero, fall, rise] = [0.0, 1.0 - p, p - 1.0].map(|v| vjp.backward.scalar(v));
    let power = vjp.emit("Pow", &[vjp.output_name(), &fall], vec![]);
    let share = vjp.emit("Mul", &[&grad, &power], vec![]);
    let some = vjp.emit("Greater", &[vjp.output_name(), &zero], vec![]);
    let share = vjp.emit("Where", &[&some, &share, &zero], vec![]);
    let spread = spread(vjp, &window, &share, x[1] as i64, &x[2..], &y[2..]);
    let size = vjp.emit("Abs", &[vjp.wanted()], vec![]);
    let own = vjp.emit("Pow", &[&size, &rise], vec![]);
    let sign = vjp.emit("Sign", &[vjp.wanted()], vec![]);
    let own = vjp.emit("Mul", &[&own, &sign], vec![]);
    Ok(Some(vjp.emit("Mul", &[&own, &spread], vec![])))
}

/// For each place of `y`, how many numbers of `x` (and of its pads) its window holds.
fn counts(window: &Window, x: &[usize], y: &[usize], include_pads: bool) -> Vec<f32> {
    let along = |axis: usize, at: i64| {
        let start = at * window.strides[axis] - window.pads_begin[axis];
        let length = x[axis] as i64;
        let (low, high) =
            if include_pads { (-window.pads_begin[axis], length + window.pads_end[axis]) } else { (0, length) };
        let places = (0..window.kernel[axis]).map(|k| start + k * window.dilations[axis]);
        places.filter(|place| (low..high).contains(place)).count() as f32
    };
    let mut counts = vec![1.0];
    for (axis, &length) in y.iter().enumerate() {
        let row: Vec<f32> = (0..length as i64).map(|at| along(axis, at)).collect();
        counts = counts.iter().flat_map(|outer| row.iter().map(move |inner| outer * inner)).collect();
    }
    counts
}

/// `y = (Σ |x|^p)^(1/p)` over all places, `dx = dy sign(x) (|x| / y)^(p-1)`.
///
/// <https://onnx.ai/onnx/operators/onnx__GlobalLpPool.html>, opset 2 on.
pub fn global_lp_pool(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let x = vjp.wanted();
    let power = vjp.backward.scalar(vjp.node.int("p").unwrap_or(2) as f32 - 1.0);
    let size = vjp.emit("Abs", &[x], vec![]);
    let ratio = vjp.emit("Div", &[&size, vjp.output_name()], vec![]);
    let share = vjp.emit("Pow", &[&ratio, &power], vec![]);
    let sign = vjp.emit("Sign", &[x], vec![]);
    let share = vjp.emit("Mul", &[&share, &sign], vec![]);
    Ok(Some(vjp.emit("Mul", &[&share, &grad], vec![])))
}
