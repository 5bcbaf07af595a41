//! Ops that ONNX Runtime fuses others into, and that are in the files it saves after optimising a model, as the ops
//! that they were fused from.

use std::f32::consts::{FRAC_1_SQRT_2, PI};

use super::lowering::{Lowering, TO_CHANNELS_FIRST, TO_CHANNELS_LAST};
use crate::onnx::proto::Attribute;

/// `FusedConv`: `activation(w * x + b + z)`.
pub fn conv(l: &mut Lowering) -> Option<()> {
    let inputs = [l.input(0)?, l.input(1)?, l.input(2).unwrap_or_default()];
    let mut y = l.write("Conv", &inputs, &l.window());
    if let Some(z) = l.input(3) {
        y = l.write("Add", &[&y, z], &[]);
    }
    finish_activated(l, &y)
}

/// `FusedGemm`: `activation(α A B + β C)`.
pub fn gemm(l: &mut Lowering) -> Option<()> {
    let inputs = [l.input(0)?, l.input(1)?, l.input(2).unwrap_or_default()];
    let y = l.write("Gemm", &inputs, &l.attributes(&["alpha", "beta", "transA", "transB"]));
    finish_activated(l, &y)
}

/// Writes the node's activation, whose parameters are those of the ONNX op in the order of its attributes.
fn finish_activated(l: &mut Lowering, y: &str) -> Option<()> {
    let Some(op) = l.node.string("activation").filter(|op| !op.is_empty()).map(str::to_owned) else {
        return l.finish("Identity", &[y], &[]);
    };
    let names: &[&str] = match op.as_str() {
        "Clip" => &["min", "max"],
        "HardSigmoid" => &["alpha", "beta"],
        "LeakyRelu" | "Elu" | "ThresholdedRelu" => &["alpha"],
        _ => &[],
    };
    let listed = l.node.attribute("activation_params").map(|a| a.floats.as_slice()).unwrap_or_default();
    // FusedGemm has an attribute a parameter.
    let value = |(number, name): (usize, &&str)| match listed {
        [] => l.node.float(&format!("activation_{name}")),
        listed => listed.get(number).copied(),
    };
    let values: Vec<Option<f32>> = names.iter().enumerate().map(value).collect();
    if let ("Clip", [low, high]) = (op.as_str(), values.as_slice()) {
        let [low, high] = [low, high].map(|bound| bound.map_or_else(String::new, |bound| l.number(bound)));
        return l.finish("Clip", &[y, &low, &high], &[]);
    }
    let named = names.iter().zip(values);
    let attributes: Vec<Attribute> =
        named.filter_map(|(name, value)| Some(Attribute::from_float(name, value?))).collect();
    l.finish(&op, &[y], &attributes)
}

/// `FusedMatMul`: `α A' B'`, where `'` is an optional exchange of the last two axes.
pub fn matmul(l: &mut Lowering) -> Option<()> {
    if l.int("transBatchA", 0) != 0 || l.int("transBatchB", 0) != 0 {
        return None;
    }
    let (a, b) = (l.input(0)?, l.input(1)?);
    let (transposed_a, transposed_b) = (l.int("transA", 0) != 0, l.int("transB", 0) != 0);
    let alpha = l.float("alpha", 1.0);
    // The rank, which a Transpose needs, is not known here.
    let left = if transposed_a { "...ji" } else { "...ij" };
    let right = if transposed_b { "...kj" } else { "...jk" };
    let equation = [Attribute::from_string("equation", &format!("{left},{right}->...ik"))];
    let plain = !(transposed_a || transposed_b);
    let (op, attributes) = if plain { ("MatMul", &[][..]) } else { ("Einsum", &equation[..]) };
    if (alpha - 1.0).abs() < f32::EPSILON {
        return l.finish(op, &[a, b], attributes);
    }
    let product = l.write(op, &[a, b], attributes);
    let alpha = l.number(alpha);
    l.finish("Mul", &[&product, &alpha], &[])
}

/// `NhwcConv`: a convolution of `[N,h,w,C]`. Its weights are `[M,kh,kw,C]`, or in some files `[M,C,kh,kw]`.
pub fn nhwc_conv(l: &mut Lowering) -> Option<()> {
    let (x, mut w) = (l.input(0)?, l.input(1)?.to_owned());
    let (Some(kernel), Some(&[_, a, b, c])) = (l.node.ints("kernel_shape"), l.weight_shape(1)) else { return None };
    let last = match (kernel == [a, b], kernel == [b, c]) {
        (true, false) => true,
        (false, true) => false,
        // Nothing tells.
        _ => return None,
    };
    if last {
        w = l.transpose(&w, &TO_CHANNELS_FIRST);
    }
    let x = l.transpose(x, &TO_CHANNELS_FIRST);
    let mut y = l.write("Conv", &[&x, &w, l.input(2).unwrap_or_default()], &l.window());
    if let Some(z) = l.input(3) {
        let z = l.transpose(z, &TO_CHANNELS_FIRST);
        y = l.write("Add", &[&y, &z], &[]);
    }
    let y = l.transpose(&y, &TO_CHANNELS_LAST);
    finish_activated(l, &y)
}

/// `NhwcMaxPool`: the largest of windows of `[N,h,w,C]`.
pub fn nhwc_max_pool(l: &mut Lowering) -> Option<()> {
    let x = l.transpose(l.input(0)?, &TO_CHANNELS_FIRST);
    let y = l.write("MaxPool", &[&x], &l.window());
    l.finish("Transpose", &[&y], &[Attribute::from_ints("perm", &TO_CHANNELS_LAST)])
}

/// Gelu: `x (1 + erf(x / √2)) / 2`.
pub fn gelu(l: &mut Lowering) -> Option<()> {
    let x = l.input(0)?;
    finish_gelu(l, x)
}

/// `BiasGelu`: the Gelu of `x + b`.
pub fn bias_gelu(l: &mut Lowering) -> Option<()> {
    let sum = l.write("Add", &[l.input(0)?, l.input(1)?], &[]);
    finish_gelu(l, &sum)
}

fn finish_gelu(l: &mut Lowering, x: &str) -> Option<()> {
    let [factor, one, half] = [FRAC_1_SQRT_2, 1.0, 0.5].map(|value| l.number(value));
    let scaled = l.write("Mul", &[x, &factor], &[]);
    let erf = l.write("Erf", &[&scaled], &[]);
    let sum = l.write("Add", &[&erf, &one], &[]);
    let product = l.write("Mul", &[x, &sum], &[]);
    l.finish("Mul", &[&product, &half], &[])
}

/// `FastGelu`: `x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2`, of `x` or of `x + b`.
pub fn fast_gelu(l: &mut Lowering) -> Option<()> {
    let mut x = l.input(0)?.to_owned();
    if let Some(bias) = l.input(1) {
        x = l.write("Add", &[&x, bias], &[]);
    }
    let [cubic, factor, one, half] = [0.044_715, (2.0 / PI).sqrt(), 1.0, 0.5].map(|value| l.number(value));
    let square = l.write("Mul", &[&x, &x], &[]);
    let cube = l.write("Mul", &[&square, &x], &[]);
    let cube = l.write("Mul", &[&cube, &cubic], &[]);
    let inner = l.write("Add", &[&x, &cube], &[]);
    let inner = l.write("Mul", &[&inner, &factor], &[]);
    let tanh = l.write("Tanh", &[&inner], &[]);
    let sum = l.write("Add", &[&tanh, &one], &[]);
    let product = l.write("Mul", &[&x, &sum], &[]);
    l.finish("Mul", &[&product, &half], &[])
}

/// `QuickGelu`: `x sigmoid(α x)`.
pub fn quick_gelu(l: &mut Lowering) -> Option<()> {
    let x = l.input(0)?;
    let alpha = l.number(l.float("alpha", 1.702));
    let scaled = l.write("Mul", &[x, &alpha], &[]);
    let sigmoid = l.write("Sigmoid", &[&scaled], &[]);
    l.finish("Mul", &[x, &sigmoid], &[])
}

/// `BiasSoftmax`: the softmax of `x + b`.
pub fn bias_softmax(l: &mut Lowering) -> Option<()> {
    let sum = l.write("Add", &[l.input(0)?, l.input(1)?], &[]);
    let axis = Attribute::from_int("axis", l.int("axis", 1));
    l.finish("Softmax", &[&sum], &[axis])
}

/// The standard op of that name.
pub fn layer_normalization(l: &mut Lowering) -> Option<()> {
    let inputs = [l.input(0)?, l.input(1)?, l.input(2).unwrap_or_default()];
    l.finish("LayerNormalization", &inputs, &l.attributes(&["axis", "epsilon"]))
}

/// `SimplifiedLayerNormalization`: `γ x / √(mean(x²) + ε)` over the last axis.
pub fn simplified_layer_normalization(l: &mut Lowering) -> Option<()> {
    if !matches!(l.int("axis", -1), -1) {
        return None;
    }
    let x = l.input(0)?;
    finish_by_root_mean_square(l, x, l.input(1)?, 1e-5)
}

/// `SkipLayerNormalization`: the normalised `x + skip + b`, and as the fourth output the sum itself.
pub fn skip_layer_normalization(l: &mut Lowering) -> Option<()> {
    let simplified = l.node.op() == "SkipSimplifiedLayerNormalization";
    let gamma = l.input(2)?;
    let (beta, bias) = if simplified { (None, l.input(3)) } else { (l.input(3), l.input(4)) };
    let mut sum = l.write("Add", &[l.input(0)?, l.input(1)?], &[]);
    if let Some(bias) = bias {
        sum = l.write("Add", &[&sum, bias], &[]);
    }
    l.write_output(3, "Identity", &[&sum], &[]);
    if simplified {
        return finish_by_root_mean_square(l, &sum, gamma, 1e-12);
    }
    let attributes = [Attribute::from_int("axis", -1), Attribute::from_float("epsilon", l.float("epsilon", 1e-12))];
    l.finish("LayerNormalization", &[&sum, gamma, beta.unwrap_or_default()], &attributes)
}

fn finish_by_root_mean_square(l: &mut Lowering, x: &str, gamma: &str, usual: f32) -> Option<()> {
    let epsilon = l.number(l.float("epsilon", usual));
    let last = l.integers(&[-1]);
    let square = l.write("Mul", &[x, x], &[]);
    let mean = l.write("ReduceMean", &[&square, &last], &[]);
    let sum = l.write("Add", &[&mean, &epsilon], &[]);
    let root = l.write("Sqrt", &[&sum], &[]);
    let normalised = l.write("Div", &[x, &root], &[]);
    l.finish("Mul", &[&normalised, gamma], &[])
}
