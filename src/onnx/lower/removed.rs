//! Ops of `ai.onnx` that have other forms: those that ONNX removed or never finished, which exporters for Windows ML
//! still write (<https://github.com/onnx/onnx/blob/rel-1.2/docs/Operators.md>, under "experimental"), and sequences.

use super::lowering::Lowering;
use crate::onnx::proto::Attribute;

/// `y = scale x + bias`, with a bias a channel of `[N,C,h,w]`.
pub fn image_scaler(l: &mut Lowering) -> Option<()> {
    let x = l.input(0)?;
    let bias = l.node.attribute("bias").map(|bias| bias.floats.clone()).unwrap_or_default();
    let scale = l.number(l.float("scale", 1.0));
    if bias.is_empty() {
        return l.finish("Mul", &[x, &scale], &[]);
    }
    let bias = l.floats(&[bias.len() as i64, 1, 1], &bias);
    let scaled = l.write("Mul", &[x, &scale], &[]);
    l.finish("Add", &[&scaled, &bias], &[])
}

/// `y = α x + β`.
pub fn affine(l: &mut Lowering) -> Option<()> {
    let x = l.input(0)?;
    let (alpha, beta) = (l.number(l.float("alpha", 1.0)), l.number(l.float("beta", 0.0)));
    let scaled = l.write("Mul", &[x, &alpha], &[]);
    l.finish("Add", &[&scaled, &beta], &[])
}

/// `x` `[N,C,h,w]` without `border` (left, top, right, bottom); or, with `scale` (height, width), that size from the
/// border's upper left corner on.
pub fn crop(l: &mut Lowering) -> Option<()> {
    let x = l.input(0)?;
    let [left, top, right, bottom] = *l.node.ints("border").unwrap_or(&[0; 4]) else { return None };
    let end = |border: i64| if border > 0 { -border } else { i64::MAX };
    let ends = match l.node.ints("scale") {
        Some(&[height, width]) => [top + height, left + width],
        _ => [end(bottom), end(right)],
    };
    let [starts, ends, axes] = [[top, left], ends, [2, 3]].map(|values| l.integers(&values));
    l.finish("Slice", &[x, &starts, &ends, &axes], &[])
}

/// The form before operator set 9: `(x - mean) / deviation` over rows and columns of `[N,C,h,w]`, and over the channels
/// too if `across_channels`; without `normalize_variance`, `x - mean`.
pub fn mean_variance_normalization(l: &mut Lowering) -> Option<()> {
    let old = ["across_channels", "normalize_variance"].map(|name| l.node.int(name));
    let [across_channels, scaled] = old.iter().any(Option::is_some).then_some(old)?;
    let x = l.input(0)?;
    let axes: &[i64] = if across_channels.unwrap_or(0) == 0 { &[2, 3] } else { &[1, 2, 3] };
    if scaled.unwrap_or(1) != 0 {
        return l.finish("MeanVarianceNormalization", &[x], &[Attribute::from_ints("axes", axes)]);
    }
    let axes = l.integers(axes);
    let mean = l.write("ReduceMean", &[x, &axes], &[]);
    l.finish("Sub", &[x, &mean], &[])
}

/// `y = α log(exp(β x) + 1)`.
pub fn parametric_softplus(l: &mut Lowering) -> Option<()> {
    scaled(l, "Softplus")
}

/// `y = α tanh(β x)`.
pub fn scaled_tanh(l: &mut Lowering) -> Option<()> {
    scaled(l, "Tanh")
}

/// `y = α f(β x)`, where `f` is an op of one input.
fn scaled(l: &mut Lowering, op: &str) -> Option<()> {
    let x = l.input(0)?;
    let (alpha, beta) = (l.number(l.float("alpha", 1.0)), l.number(l.float("beta", 1.0)));
    let inner = l.write("Mul", &[x, &beta], &[]);
    let y = l.write(op, &[&inner], &[]);
    l.finish("Mul", &[&y, &alpha], &[])
}

/// `ConcatFromSequence` of a `SequenceConstruct`: the concatenation of the tensors that the sequence was made of.
pub fn concat_from_sequence(l: &mut Lowering) -> Option<()> {
    let sequence = l.producer(l.input(0)?).filter(|node| node.op() == "SequenceConstruct")?;
    let axis = l.node.int("axis")?;
    let mut parts = sequence.input.clone();
    if l.int("new_axis", 0) != 0 {
        let new = l.integers(&[axis]);
        parts = parts.iter().map(|part| l.write("Unsqueeze", &[part, &new], &[])).collect();
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    l.finish("Concat", &parts, &[Attribute::from_int("axis", axis)])
}
