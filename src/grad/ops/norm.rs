//! Normalisation.

use crate::error::Result;
use crate::grad::Vjp;
use crate::onnx::proto::Attribute;

/// `y = scale (x - mean) / sqrt(var + ε) + bias` with stored mean and variance,
/// `dx = dy scale / sqrt(var + ε)`. `x` `[N,C,…]`, the others `[C]`.
///
/// <https://onnx.ai/onnx/operators/onnx__BatchNormalization.html>, opset 7 on, inference form;
/// Ioffe and Szegedy, *Batch Normalization*, 2015.
pub fn batch_normalization(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Err(vjp.unsupported("its parameters"));
    }
    if vjp.node.int("training_mode").unwrap_or(0) != 0 {
        return Err(vjp.error("it is in training mode; export the model in evaluation mode"));
    }
    let grad = vjp.grad()?;
    let (scale, variance) = (vjp.input_name(1)?, vjp.input_name(4)?);
    let epsilon = vjp.backward.scalar(vjp.node.float("epsilon").unwrap_or(1e-5));
    let shifted = vjp.emit("Add", &[variance, &epsilon], vec![]);
    let deviation = vjp.emit("Sqrt", &[&shifted], vec![]);
    let slope = vjp.emit("Div", &[scale, &deviation], vec![]);
    let slope = per_channel(vjp, &slope)?;
    Ok(Some(vjp.emit("Mul", &[&grad, &slope], vec![])))
}

/// `[C]` to `[C,1,…]`, which broadcasts over the places of `x` `[N,C,…]`.
fn per_channel(vjp: &mut Vjp, tensor: &str) -> Result<String> {
    let mut shape = vec![1; vjp.input_shape(0)?.len().saturating_sub(1)];
    if let Some(channels) = shape.first_mut() {
        *channels = -1;
    }
    let shape = vjp.backward.int64s(&shape);
    Ok(vjp.emit("Reshape", &[tensor, &shape], vec![]))
}

/// With `x̂ = (x - mean) / sqrt(var + ε)` over some axes and `g` the gradient of `x̂`:
/// `dx = (g - mean(g) - x̂ mean(g x̂)) / sqrt(var + ε)`.
fn standardised(vjp: &mut Vjp, x: &str, g: &str, axes: &[i64], epsilon: f32) -> String {
    let axes = vjp.backward.int64s(axes);
    let epsilon = vjp.backward.scalar(epsilon);
    let mean = vjp.emit("ReduceMean", &[x, &axes], vec![]);
    let centred = vjp.emit("Sub", &[x, &mean], vec![]);
    let squared = vjp.emit("Mul", &[&centred, &centred], vec![]);
    let variance = vjp.emit("ReduceMean", &[&squared, &axes], vec![]);
    let shifted = vjp.emit("Add", &[&variance, &epsilon], vec![]);
    let deviation = vjp.emit("Sqrt", &[&shifted], vec![]);
    let standard = vjp.emit("Div", &[&centred, &deviation], vec![]);
    let mean_g = vjp.emit("ReduceMean", &[g, &axes], vec![]);
    let product = vjp.emit("Mul", &[g, &standard], vec![]);
    let mean_product = vjp.emit("ReduceMean", &[&product, &axes], vec![]);
    let along = vjp.emit("Mul", &[&standard, &mean_product], vec![]);
    let rest = vjp.emit("Sub", &[g, &mean_g], vec![]);
    let rest = vjp.emit("Sub", &[&rest, &along], vec![]);
    vjp.emit("Div", &[&rest, &deviation], vec![])
}

/// `y = scale x̂ + bias` over the axes from `axis` on.
///
/// <https://onnx.ai/onnx/operators/onnx__LayerNormalization.html>, opset 17 on; Ba, Kiros and Hinton,
/// *Layer Normalization*, 2016.
pub fn layer_normalization(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Err(vjp.unsupported("its parameters"));
    }
    let grad = vjp.grad()?;
    let rank = vjp.input_shape(0)?.len() as i64;
    let axis = vjp.node.int("axis").unwrap_or(-1).rem_euclid(rank.max(1));
    let axes: Vec<i64> = (axis..rank).collect();
    let g = vjp.emit("Mul", &[&grad, vjp.input_name(1)?], vec![]);
    let epsilon = vjp.node.float("epsilon").unwrap_or(1e-5);
    Ok(Some(standardised(vjp, vjp.wanted(), &g, &axes, epsilon)))
}

/// `y = scale x̂ + bias` over the places of each channel. `x` `[N,C,…]`.
///
/// <https://onnx.ai/onnx/operators/onnx__InstanceNormalization.html>, opset 6 on; Ulyanov, Vedaldi and
/// Lempitsky, *Instance Normalization*, 2016.
pub fn instance_normalization(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Err(vjp.unsupported("its parameters"));
    }
    let grad = vjp.grad()?;
    let axes: Vec<i64> = (2..vjp.input_shape(0)?.len() as i64).collect();
    let scale = per_channel(vjp, vjp.input_name(1)?)?;
    let g = vjp.emit("Mul", &[&grad, &scale], vec![]);
    let epsilon = vjp.node.float("epsilon").unwrap_or(1e-5);
    Ok(Some(standardised(vjp, vjp.wanted(), &g, &axes, epsilon)))
}

/// `y = scale x̂ + bias` over the places and channels of each group. `x` `[N,C,…]`, scale `[C]`, or
/// one number a group before opset 21.
///
/// <https://onnx.ai/onnx/operators/onnx__GroupNormalization.html>, opset 18 on; Wu and He, *Group
/// Normalization*, 2018.
pub fn group_normalization(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Err(vjp.unsupported("its parameters"));
    }
    let mut g = vjp.grad()?;
    let of_channels = vjp.input_shape(1)?.first() == vjp.input_shape(0)?.get(1);
    if of_channels {
        let scale = per_channel(vjp, vjp.input_name(1)?)?;
        g = vjp.emit("Mul", &[&g, &scale], vec![]);
    }
    let groups = vjp.node.int("num_groups").unwrap_or(1);
    let grouped = vjp.backward.int64s(&[0, groups, -1]);
    let x = vjp.emit("Reshape", &[vjp.wanted(), &grouped], vec![]);
    let mut g = vjp.emit("Reshape", &[&g, &grouped], vec![]);
    if !of_channels {
        let shape = vjp.backward.int64s(&[-1, 1]);
        let scale = vjp.emit("Reshape", &[vjp.input_name(1)?, &shape], vec![]);
        g = vjp.emit("Mul", &[&g, &scale], vec![]);
    }
    let epsilon = vjp.node.float("epsilon").unwrap_or(1e-5);
    let dx = standardised(vjp, &x, &g, &[2], epsilon);
    Ok(Some(vjp.backward.reshape_like(&dx, vjp.wanted())))
}

/// `y = (x - mean) / deviation` over the given axes.
///
/// <https://onnx.ai/onnx/operators/onnx__MeanVarianceNormalization.html>, opset 9 on.
pub fn mean_variance_normalization(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let axes = vjp.node.ints("axes").unwrap_or(&[0, 2, 3]);
    Ok(Some(standardised(vjp, vjp.wanted(), &grad, axes, 1e-9)))
}

/// `y = scale x̂`, `x̂ = x / r`, `r = sqrt(mean(x²) + ε)` over the axes from `axis` on:
/// `dx = (g - x̂ mean(g x̂)) / r`, `g = dy scale`.
///
/// <https://onnx.ai/onnx/operators/onnx__RMSNormalization.html>, opset 23 on; Zhang and Sennrich, *Root
/// Mean Square Layer Normalization*, 2019.
pub fn rms_normalization(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Err(vjp.unsupported("its parameters"));
    }
    let grad = vjp.grad()?;
    let x = vjp.wanted();
    let rank = vjp.input_shape(0)?.len() as i64;
    let axis = vjp.node.int("axis").unwrap_or(-1).rem_euclid(rank.max(1));
    let axes = vjp.backward.int64s(&(axis..rank).collect::<Vec<_>>());
    let epsilon = vjp.backward.scalar(vjp.node.float("epsilon").unwrap_or(1e-5));
    let g = vjp.emit("Mul", &[&grad, vjp.input_name(1)?], vec![]);
    let squared = vjp.emit("Mul", &[x, x], vec![]);
    let mean = vjp.emit("ReduceMean", &[&squared, &axes], vec![]);
    let shifted = vjp.emit("Add", &[&mean, &epsilon], vec![]);
    let root = vjp.emit("Sqrt", &[&shifted], vec![]);
    let standard = vjp.emit("Div", &[x, &root], vec![]);
    let product = vjp.emit("Mul", &[&g, &standard], vec![]);
    let mean = vjp.emit("ReduceMean", &[&product, &axes], vec![]);
    let along = vjp.emit("Mul", &[&standard, &mean], vec![]);
    let rest = vjp.emit("Sub", &[&g, &along], vec![]);
    Ok(Some(vjp.emit("Div", &[&rest, &root], vec![])))
}

/// `y = x / n`, `n` the p-norm along an axis: `dx = (dy - s Σ dy y) / n`, with `s = y` for p = 2 and
/// `s = sign(x)` for p = 1.
///
/// <https://onnx.ai/onnx/operators/onnx__LpNormalization.html>, opset 1 on.
pub fn lp_normalization(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let (x, y) = (vjp.wanted(), vjp.output_name());
    let axes = vjp.backward.int64s(&[vjp.node.int("axis").unwrap_or(-1)]);
    let product = vjp.emit("Mul", &[&grad, y], vec![]);
    let sum = vjp.emit("ReduceSum", &[&product, &axes], vec![]);
    let (norm, direction) = if vjp.node.int("p") == Some(1) {
        (vjp.emit("ReduceL1", &[x, &axes], vec![]), vjp.emit("Sign", &[x], vec![]))
    } else {
        (vjp.emit("ReduceL2", &[x, &axes], vec![]), y.to_owned())
    };
    let along = vjp.emit("Mul", &[&direction, &sum], vec![]);
    let rest = vjp.emit("Sub", &[&grad, &along], vec![]);
    Ok(Some(vjp.emit("Div", &[&rest, &norm], vec![])))
}

/// `y = x / s^β`, `s = k + α/n Σ x²` over `n` neighbouring channels:
/// `dx = dy s^-β - 2αβ/n x Σ(dy x s^(-β-1))` over the channels whose windows hold this one.
///
/// <https://onnx.ai/onnx/operators/onnx__LRN.html>, opset 1 on; Krizhevsky, Sutskever and Hinton,
/// *ImageNet Classification with Deep Convolutional Neural Networks*, 2012. `x` `[N,C,…]`.
pub fn local_response_normalization(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let x = vjp.wanted();
    let size = vjp.node.int("size").unwrap_or(1);
    let alpha = vjp.node.float("alpha").unwrap_or(1e-4);
    let beta = vjp.node.float("beta").unwrap_or(0.75);
    let bias = vjp.backward.scalar(vjp.node.float("bias").unwrap_or(1.0));
    let share = vjp.backward.scalar(alpha);
    let squared = vjp.emit("Mul", &[x, x], vec![]);
    let (before, after) = ((size - 1) / 2, size / 2);
    let mean = mean_over_channels(vjp, &squared, size, before, after);
    let s = vjp.emit("Mul", &[&mean, &share], vec![]);
    let s = vjp.emit("Add", &[&s, &bias], vec![]);
    let power = vjp.backward.scalar(-beta);
    let scale = vjp.emit("Pow", &[&s, &power], vec![]);
    let direct = vjp.emit("Mul", &[&grad, &scale], vec![]);
    let through = vjp.emit("Mul", &[&direct, x], vec![]);
    let through = vjp.emit("Div", &[&through, &s], vec![]);
    let through = mean_over_channels(vjp, &through, size, after, before);
    let weight = vjp.backward.scalar(2.0 * alpha * beta);
    let through = vjp.emit("Mul", &[&through, &weight], vec![]);
    let through = vjp.emit("Mul", &[&through, x], vec![]);
    Ok(Some(vjp.emit("Sub", &[&direct, &through], vec![])))
}

/// The sum over a window of channels, over the window's whole size: channels beyond the ends count as 0.
fn mean_over_channels(vjp: &mut Vjp, tensor: &str, size: i64, before: i64, after: i64) -> String {
    let shape = vjp.emit("Shape", &[vjp.wanted()], vec![]);
    let flat = vjp.backward.int64s(&[0, 0, -1]);
    let flat = vjp.emit("Reshape", &[tensor, &flat], vec![]);
    let axis = vjp.backward.int64s(&[1]);
    let rows = vjp.emit("Unsqueeze", &[&flat, &axis], vec![]);
    let attributes = vec![
        Attribute::from_ints("kernel_shape", &[size, 1]),
        Attribute::from_ints("pads", &[before, 0, after, 0]),
        Attribute::from_int("count_include_pad", 1),
    ];
    let pooled = vjp.emit("AveragePool", &[&rows], attributes);
    vjp.emit("Reshape", &[&pooled, &shape], vec![])
}
