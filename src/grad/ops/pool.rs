//! Pooling over windows.

use super::conv::ConvWindow;
use super::shape::scatter;
use crate::error::Result;
use crate::grad::value::Value;
use crate::grad::vjp::{Gradient, Vjp};
use crate::onnx::proto::Attribute;

/// `y = max x` over a window, `dx[argmax] += dy`.
///
/// <https://onnx.ai/onnx/operators/onnx__MaxPool.html>, opset 8 on, whose second output holds the indices of the
/// maxima in the flattened `x`. Of equal values the first takes the gradient.
pub fn max_pool(vjp: Vjp) -> Gradient {
    let dy = vjp.dy()?;
    if vjp.int("storage_order", 0) != 0 {
        return Err(vjp.unsupported("column-major indices"));
    }
    let argmax = vjp.writer.extra_output(vjp.index, 1);
    Ok(Some(scatter(vjp, argmax, dy)))
}

/// As [`max_pool`], for relevance. Where the windows lie side by side, equal values share it, which is several times as fast as
/// indices are in ONNX Runtime.
pub fn max_pool_shared(vjp: Vjp) -> Gradient {
    let window = window_of(vjp)?;
    let (x, y) = (&vjp.operand_shape(0)?[2..], &vjp.y_shape()?[2..]);
    let covered = x.iter().zip(y).zip(&window.kernel).all(|((&x, &y), &kernel)| x as i64 == y as i64 * kernel);
    let side_by_side = window.kernel == window.strides
        && window.pads().iter().all(|&pad| pad == 0)
        && window.dilations.iter().all(|&dilation| dilation == 1);
    if !(covered && side_by_side) || vjp.infinite {
        return max_pool(vjp);
    }
    let kernel = window.kernel.as_slice();
    // A runtime keeps a sum, but no comparison of two tensors, in the layout of its convolutions.
    let largest = match vjp.kind(vjp.x_name()) {
        Some(kind) if !kind.is_float() => vjp.x().equals(vjp.y().repeated(kernel)),
        _ => (vjp.x() + (-vjp.y()).repeated(kernel)).at_least(0.0),
    };
    let largest = largest.to_float();
    let attributes = ["kernel_shape", "strides"].map(|name| Attribute::from_ints(name, kernel));
    let count = largest.apply("AveragePool", &[], &attributes) * kernel.iter().product::<i64>() as f32;
    // A device that pools in fewer bits may find none.
    Ok(Some((vjp.dy()? / count.max(1.0)).repeated(kernel) * largest))
}

/// `y = mean x` over a window, `dx = Σ dy / count` over the windows that contain it: a transposed depthwise
/// convolution with ones.
///
/// <https://onnx.ai/onnx/operators/onnx__AveragePool.html>, opset 7 on. Pads count for the mean with
/// `count_include_pad`; what `ceil_mode` adds past them never counts.
pub fn average_pool(vjp: Vjp) -> Gradient {
    let y = &vjp.y_shape()?[2..];
    let window = window_of(vjp)?;
    // The counts are the same for every picture and channel.
    let counts = counts(&window, &vjp.operand_shape(0)?[2..], y, vjp.int("count_include_pad", 0) != 0);
    let shape: Vec<i64> = [1, 1].into_iter().chain(y.iter().map(|&d| d as i64)).collect();
    spread(vjp, &window, vjp.dy()? / vjp.writer.floats(&shape, &counts)).map(Some)
}

fn window_of(vjp: Vjp) -> Result<ConvWindow> {
    let kernel = vjp.node.ints("kernel_shape").ok_or_else(|| vjp.error("it lacks kernel_shape"))?;
    Ok(ConvWindow::of(vjp.node, kernel.to_vec(), &vjp.operand_shape(0)?[2..], &vjp.y_shape()?[2..]))
}

/// For each position of `x`, the sum of `share` over the windows that contain it.
fn spread<'g>(vjp: Vjp<'g>, window: &ConvWindow, share: Value<'g>) -> Result<Value<'g>> {
    let (x, y) = (vjp.operand_shape(0)?, vjp.y_shape()?);
    let channels = x[1] as i64;
    let shape = vjp.int64s(&[&[channels, 1], window.kernel.as_slice()].concat());
    let ones = vjp.writer.scalar(1.0).expand(shape);
    Ok(window.transposed(share, ones, channels, &x[2..], &y[2..]))
}

/// For each position of `y`, the number of positions of `x` (and of its pads) in its window.
fn counts(window: &ConvWindow, x: &[usize], y: &[usize], include_pads: bool) -> Vec<f32> {
    let along = |axis: usize, index: i64| {
        let start = index * window.strides[axis] - window.pads_begin[axis];
        let length = x[axis] as i64;
        let (low, high) =
            if include_pads { (-window.pads_begin[axis], length + window.pads_end[axis]) } else { (0, length) };
        let positions = (0..window.kernel[axis]).map(|k| start + k * window.dilations[axis]);
        positions.filter(|position| (low..high).contains(position)).count() as f32
    };
    let mut counts = vec![1.0];
    for (axis, &length) in y.iter().enumerate() {
        let row: Vec<f32> = (0..length as i64).map(|index| along(axis, index)).collect();
        counts = counts.iter().flat_map(|outer| row.iter().map(move |inner| outer * inner)).collect();
    }
    counts
}

/// `y = (Σ |x|^p)^(1/p)` over a window, `dx = sign(x) |x|^(p-1) Σ dy y^(1-p)` over the windows that contain it.
/// Where a window is all zeros the gradient is 0.
///
/// <https://onnx.ai/onnx/operators/onnx__LpPool.html>, opset 2 on.
pub fn lp_pool(vjp: Vjp) -> Gradient {
    let (x, y) = (vjp.x(), vjp.y());
    let window = window_of(vjp)?;
    let p = vjp.int("p", 2) as f32;
    let share = y.greater(0.0).choose(vjp.dy()? * y.pow(1.0 - p), 0.0);
    Ok(Some(x.abs().pow(p - 1.0) * x.sign() * spread(vjp, &window, share)?))
}

/// `y = (Σ |x|^p)^(1/p)` over all positions, `dx = dy sign(x) (|x| / y)^(p-1)`, and 0 where `y` is 0.
///
/// <https://onnx.ai/onnx/operators/onnx__GlobalLpPool.html>, opset 2 on.
pub fn global_lp_pool(vjp: Vjp) -> Gradient {
    let x = vjp.x();
    let power = vjp.int("p", 2) as f32 - 1.0;
    let y = vjp.y();
    let slope = (x.abs() / y).pow(power) * x.sign();
    Ok(Some(y.greater(0.0).choose(slope, 0.0) * vjp.dy()?))
}
