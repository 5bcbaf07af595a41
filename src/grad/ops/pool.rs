//! Pooling.

use super::conv::Window;
use crate::error::Result;
use crate::grad::Vjp;
use crate::onnx::proto::Attribute;

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
    let flat = vjp.backward.int64s(&[-1]);
    let indices = vjp.emit("Reshape", &[&indices, &flat], vec![]);
    let grad = vjp.emit("Reshape", &[&grad, &flat], vec![]);
    let size = vjp.emit("Size", &[vjp.wanted()], vec![]);
    let size = vjp.emit("Reshape", &[&size, &flat], vec![]);
    let zero = vjp.backward.scalar(0.0);
    let zeros = vjp.emit("Expand", &[&zero, &size], vec![]);
    let attributes = vec![Attribute::from_int("axis", 0), Attribute::from_string("reduction", "add")];
    let scattered = vjp.emit("ScatterElements", &[&zeros, &indices, &grad], attributes);
    Ok(Some(vjp.backward.reshape_like(&scattered, vjp.wanted())))
}

/// `y = mean over a window of x`: each `x` of a window takes an equal share of `dy`, spread by a
/// transposed depthwise convolution with ones.
///
/// <https://onnx.ai/onnx/operators/onnx__AveragePool.html>, opset 7 on.
pub fn average_pool(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let (x, y) = (vjp.input_shape(0)?, vjp.output_shape()?);
    let channels = x[1] as i64;
    let Some(kernel) = vjp.node.ints("kernel_shape") else { return Err(vjp.error("it lacks kernel_shape")) };
    let window = Window::of(vjp.node, kernel.to_vec(), &x[2..], &y[2..]);
    if window.dilations.iter().any(|&d| d != 1) || vjp.node.int("ceil_mode").unwrap_or(0) != 0 {
        return Err(vjp.unsupported("dilations and ceil_mode"));
    }
    let padded = window.pads().iter().any(|&p| p != 0);
    if padded && vjp.node.int("count_include_pad").unwrap_or(0) == 0 {
        return Err(vjp.unsupported("pads that do not count"));
    }
    let output_padding: Vec<i64> = (0..window.kernel.len())
        .map(|axis| {
            let reach = (y[axis + 2] as i64 - 1) * window.strides[axis] + window.kernel[axis];
            x[axis + 2] as i64 - (reach - window.pads_begin[axis] - window.pads_end[axis])
        })
        .collect();
    let share = 1.0 / window.kernel.iter().product::<i64>() as f32;
    let share = vjp.backward.scalar(share);
    let shape = [&[channels, 1], window.kernel.as_slice()].concat();
    let shape = vjp.backward.int64s(&shape);
    let weights = vjp.emit("Expand", &[&share, &shape], vec![]);
    let attributes = vec![
        Attribute::from_ints("kernel_shape", &window.kernel),
        Attribute::from_ints("strides", &window.strides),
        Attribute::from_ints("pads", &window.pads()),
        Attribute::from_ints("output_padding", &output_padding),
        Attribute::from_int("group", channels),
    ];
    Ok(Some(vjp.emit("ConvTranspose", &[&grad, &weights], attributes)))
}

/// `y = mean of x over its spatial axes`, `dx = dy / (h w)` at every place.
///
/// <https://onnx.ai/onnx/operators/onnx__GlobalAveragePool.html>, opset 1 on.
pub fn global_average_pool(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    spread_mean(vjp, &grad)
}

/// `y = mean of x over some axes`, `dx = dy / count` at every place.
///
/// <https://onnx.ai/onnx/operators/onnx__ReduceMean.html>, opset 18 form.
pub fn reduce_mean(vjp: &mut Vjp) -> Result<Option<String>> {
    let mut grad = vjp.grad()?;
    if vjp.node.int("keepdims").unwrap_or(1) == 0
        && let Ok(axes) = vjp.input_name(1)
    {
        grad = vjp.emit("Unsqueeze", &[&grad, axes], vec![]);
    }
    spread_mean(vjp, &grad)
}

fn spread_mean(vjp: &mut Vjp, grad: &str) -> Result<Option<String>> {
    let count = |shape: &[usize]| shape.iter().product::<usize>() as f32;
    let share = vjp.backward.scalar(count(vjp.output_shape()?) / count(vjp.input_shape(0)?));
    let share = vjp.emit("Mul", &[grad, &share], vec![]);
    let shape = vjp.emit("Shape", &[vjp.wanted()], vec![]);
    Ok(Some(vjp.emit("Expand", &[&share, &shape], vec![])))
}
