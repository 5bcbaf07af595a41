//! Normalisation.

use crate::error::Result;
use crate::grad::value::Value;
use crate::grad::vjp::{Gradient, Vjp};
use crate::onnx::proto::Attribute;

/// `y = scale (x - mean) / √(var + ε) + bias` with stored mean and variance, `dx = dy scale / √(var + ε)`. `x` is
/// `[N,C,…]`, the others are `[C]`.
///
/// <https://onnx.ai/onnx/operators/onnx__BatchNormalization.html>, opset 7 on, inference form; Ioffe and Szegedy,
/// *Batch Normalization*, 2015.
pub fn batch_normalization(vjp: Vjp) -> Gradient {
    only_x(vjp)?;
    if vjp.int("training_mode", 0) != 0 {
        return Err(vjp.error("it is in training mode; export the model in evaluation mode"));
    }
    let (scale, variance) = (vjp.operand(1)?, vjp.operand(4)?);
    vjp.chain(per_channel(vjp, scale / (variance + epsilon(vjp)).sqrt())?)
}

/// Rejects the gradient of a parameter.
fn only_x(vjp: Vjp) -> Result<()> {
    if vjp.input == 0 { Ok(()) } else { Err(vjp.unsupported("its parameters")) }
}

fn epsilon(vjp: Vjp) -> f32 {
    vjp.float("epsilon", 1e-5)
}

/// `[C]` to `[C,1,…]`, which broadcasts over `x` `[N,C,…]`.
fn per_channel<'g>(vjp: Vjp<'g>, parameter: Value<'g>) -> Result<Value<'g>> {
    let mut shape = vec![1; vjp.operand_shape(0)?.len().saturating_sub(1)];
    if let Some(channels) = shape.first_mut() {
        *channels = -1;
    }
    Ok(parameter.reshape(&shape))
}

/// The axes from the attribute `axis` on.
fn last_axes(vjp: Vjp) -> Result<Vec<i64>> {
    let rank = vjp.operand_shape(0)?.len();
    Ok((vjp.axis(-1, rank)..rank as i64).collect())
}

/// With `x̂ = (x - mean) / √(var + ε)` over some axes and `g` the gradient of `x̂`:
/// `dx = (g - mean(g) - x̂ mean(g x̂)) / √(var + ε)`.
fn standardised<'g>(vjp: Vjp<'g>, x: Value<'g>, g: Value<'g>, axes: &[i64], epsilon: f32) -> Value<'g> {
    let centred = x - x.mean_over(axes);
    let deviation = ((centred * centred).mean_over(axes) + epsilon).sqrt();
    if vjp.relevance {
        return (g - g.mean_over(axes)) / deviation;
    }
    let standard = centred / deviation;
    (g - g.mean_over(axes) - standard * (g * standard).mean_over(axes)) / deviation
}

/// `y = scale x̂ + bias` over the axes from `axis` on.
///
/// <https://onnx.ai/onnx/operators/onnx__LayerNormalization.html>, opset 17 on; Ba, Kiros and Hinton, *Layer
/// Normalization*, 2016.
pub fn layer_normalization(vjp: Vjp) -> Gradient {
    only_x(vjp)?;
    let g = vjp.dy()? * vjp.operand(1)?;
    Ok(Some(standardised(vjp, vjp.x(), g, &last_axes(vjp)?, epsilon(vjp))))
}

/// `y = scale x̂ + bias` over the spatial axes of each channel. `x` is `[N,C,…]`.
///
/// <https://onnx.ai/onnx/operators/onnx__InstanceNormalization.html>, opset 6 on; Ulyanov, Vedaldi and Lempitsky,
/// *Instance Normalization*, 2016.
pub fn instance_normalization(vjp: Vjp) -> Gradient {
    only_x(vjp)?;
    let axes: Vec<i64> = (2..vjp.operand_shape(0)?.len() as i64).collect();
    let g = vjp.dy()? * per_channel(vjp, vjp.operand(1)?)?;
    Ok(Some(standardised(vjp, vjp.x(), g, &axes, epsilon(vjp))))
}

/// `y = scale x̂ + bias` over the channels and spatial axes of each group. `x` is `[N,C,…]`, scale is `[C]`, or
/// before opset 21 one number per group.
///
/// <https://onnx.ai/onnx/operators/onnx__GroupNormalization.html>, opset 18 on; Wu and He, *Group Normalization*,
/// 2018.
pub fn group_normalization(vjp: Vjp) -> Gradient {
    only_x(vjp)?;
    let (dy, scale) = (vjp.dy()?, vjp.operand(1)?);
    let grouped = [0, vjp.int("num_groups", 1), -1];
    let x = vjp.x().reshape(&grouped);
    let g = if vjp.operand_shape(1)?.first() == vjp.operand_shape(0)?.get(1) {
        (dy * per_channel(vjp, scale)?).reshape(&grouped)
    } else {
        dy.reshape(&grouped) * scale.reshape(&[-1, 1])
    };
    Ok(Some(standardised(vjp, x, g, &[2], epsilon(vjp)).reshape_like(vjp.x_name())))
}

/// `y = (x - mean) / deviation` over the given axes.
///
/// <https://onnx.ai/onnx/operators/onnx__MeanVarianceNormalization.html>, opset 9 on.
pub fn mean_variance_normalization(vjp: Vjp) -> Gradient {
    let axes = vjp.node.ints("axes").unwrap_or(&[0, 2, 3]);
    Ok(Some(standardised(vjp, vjp.x(), vjp.dy()?, axes, 1e-9)))
}

/// `y = scale x̂`, `x̂ = x / r`, `r = √(mean(x²) + ε)` over the axes from `axis` on:
/// `dx = (g - x̂ mean(g x̂)) / r`, `g = dy scale`.
///
/// <https://onnx.ai/onnx/operators/onnx__RMSNormalization.html>, opset 23 on; Zhang and Sennrich, *Root Mean Square
/// Layer Normalization*, 2019.
pub fn rms_normalization(vjp: Vjp) -> Gradient {
    only_x(vjp)?;
    let (x, axes) = (vjp.x(), last_axes(vjp)?);
    let g = vjp.dy()? * vjp.operand(1)?;
    let root = ((x * x).mean_over(&axes) + epsilon(vjp)).sqrt();
    if vjp.relevance {
        return Ok(Some(g / root));
    }
    let standard = x / root;
    Ok(Some((g - standard * (g * standard).mean_over(&axes)) / root))
}

/// `y = x / n`, `n` the p-norm along an axis: `dx = (dy - s Σ dy y) / n`, `s = y` for p = 2 and `s = sign(x)` for
/// p = 1.
///
/// <https://onnx.ai/onnx/operators/onnx__LpNormalization.html>, opset 1 on.
pub fn lp_normalization(vjp: Vjp) -> Gradient {
    let (x, y, dy, axis) = (vjp.x(), vjp.y(), vjp.dy()?, vjp.int("axis", -1));
    let (norm, s) = if vjp.int("p", 2) == 1 { ("ReduceL1", x.sign()) } else { ("ReduceL2", y) };
    let n = x.apply(norm, &[vjp.int64s(&[axis])], &[]);
    if vjp.relevance {
        return Ok(Some(dy / n));
    }
    Ok(Some((dy - s * (dy * y).sum_over(&[axis])) / n))
}

/// `y = x / s^β`, `s = k + α/n Σ x²` over `n` neighbouring channels: `dx = dy s^-β - 2αβ/n x Σ(dy x s^(-β-1))` over
/// the channels whose windows contain this one.
///
/// <https://onnx.ai/onnx/operators/onnx__LRN.html>, opset 1 on; Krizhevsky, Sutskever and Hinton, *ImageNet
/// Classification with Deep Convolutional Neural Networks*, 2012. `x` is `[N,C,…]`.
pub fn local_response_normalization(vjp: Vjp) -> Gradient {
    let (x, size) = (vjp.x(), vjp.int("size", 1));
    let (alpha, beta) = (vjp.float("alpha", 1e-4), vjp.float("beta", 0.75));
    let (before, after) = ((size - 1) / 2, size / 2);
    let s = mean_over_channels(vjp, x * x, size, [before, after]) * alpha + vjp.float("bias", 1.0);
    let direct = vjp.dy()? * s.pow(-beta);
    if vjp.relevance {
        return Ok(Some(direct));
    }
    let through = mean_over_channels(vjp, direct * x / s, size, [after, before]);
    Ok(Some(direct - through * (2.0 * alpha * beta) * x))
}

/// The sum over a window of channels, divided by the window's size: channels past the ends count as 0.
fn mean_over_channels<'g>(vjp: Vjp<'g>, tensor: Value<'g>, size: i64, [before, after]: [i64; 2]) -> Value<'g> {
    let attributes = [
        Attribute::from_ints("kernel_shape", &[size, 1]),
        Attribute::from_ints("pads", &[before, 0, after, 0]),
        Attribute::from_int("count_include_pad", 1),
    ];
    let rows = tensor.reshape(&[0, 0, -1]).unsqueeze(&[1]);
    rows.apply("AveragePool", &[], &attributes).reshape_to(vjp.x().shape())
}
