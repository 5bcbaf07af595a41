//! Ops on quantised numbers, as the float op between a `DequantizeLinear` of each input and a `QuantizeLinear` of the
//! result. ONNX Runtime fuses that form back into the integer op.

use super::lowering::{Lowering, TO_CHANNELS_FIRST, TO_CHANNELS_LAST};
use crate::onnx::DataType;
use crate::onnx::proto::Attribute;

/// The float numbers that the three inputs from `first` on stand for: quantised numbers, scale, zero point. `axis` is
/// the axis that scales a slice lie along.
fn dequantized(l: &mut Lowering, first: usize, axis: Option<i64>) -> Option<String> {
    let (x, scale) = (l.input(first)?, l.input(first + 1)?);
    let zero_point = l.input(first + 2).unwrap_or_default();
    let axis: Vec<Attribute> = axis.map(|axis| Attribute::from_int("axis", axis)).into_iter().collect();
    Some(l.write("DequantizeLinear", &[x, scale, zero_point], &axis))
}

/// Quantises the result by the scale and zero point that are the inputs from `first` on.
fn finish(l: &mut Lowering, y: &str, first: usize) -> Option<()> {
    let (scale, zero_point) = (l.input(first)?, l.input(first + 1).unwrap_or_default());
    l.finish("QuantizeLinear", &[y, scale, zero_point], &[])
}

/// `QLinearConv`: x, its scale and zero point, w and its, the result's, and a bias in units of both scales
/// (<https://onnx.ai/onnx/operators/onnx__QLinearConv.html>).
pub fn conv(l: &mut Lowering) -> Option<()> {
    let per_channel = l.weight_shape(4).is_some_and(|shape| shape.len() == 1);
    let w = dequantized(l, 3, per_channel.then_some(0))?;
    let mut x = dequantized(l, 0, None)?;
    let last = l.int("channels_last", 0) != 0;
    if last {
        x = l.transpose(&x, &TO_CHANNELS_FIRST);
    }
    let bias = match l.input(8) {
        Some(bias) => bias_of(l, bias, 1, 4)?,
        None => String::new(),
    };
    let mut y = l.write("Conv", &[&x, &w, &bias], &l.window());
    if last {
        y = l.transpose(&y, &TO_CHANNELS_LAST);
    }
    finish(l, &y, 6)
}

/// A bias in the units of two scales, in float.
fn bias_of(l: &mut Lowering, bias: &str, x_scale: usize, w_scale: usize) -> Option<String> {
    let per_channel = l.weight_shape(w_scale).is_some_and(|shape| shape.len() == 1);
    let (x_scale, w_scale) = (l.input(x_scale)?, l.input(w_scale)?);
    let scale = l.write("Mul", &[x_scale, w_scale], &[]);
    let axis = [Attribute::from_int("axis", 0)];
    Some(l.write("DequantizeLinear", &[bias, &scale], if per_channel { &axis } else { &[] }))
}

/// `QLinearMatMul` (<https://onnx.ai/onnx/operators/onnx__QLinearMatMul.html>).
pub fn matmul(l: &mut Lowering) -> Option<()> {
    let per_column = l.weight_shape(4).is_some_and(|shape| shape.len() == 1 && shape != [1]);
    let a = dequantized(l, 0, None)?;
    let b = dequantized(l, 3, per_column.then_some(1))?;
    let y = l.write("MatMul", &[&a, &b], &[]);
    finish(l, &y, 6)
}

/// `QGemm`: A, B, C as for `QLinearConv` with the bias in between; the result's scale is left out for a float result.
pub fn gemm(l: &mut Lowering) -> Option<()> {
    let per_column = l.weight_shape(4).is_some_and(|shape| shape.len() == 1 && shape != [1]);
    let axis = i64::from(l.int("transB", 0) == 0);
    let a = dequantized(l, 0, None)?;
    let b = dequantized(l, 3, per_column.then_some(axis))?;
    let c = match l.input(6) {
        Some(c) => bias_of(l, c, 1, 4)?,
        None => String::new(),
    };
    let mut attributes = l.attributes(&["alpha", "transA", "transB"]);
    // C is in units of alpha and both scales.
    attributes.push(Attribute::from_float("beta", l.float("alpha", 1.0)));
    if l.input(7).is_none() {
        return l.finish("Gemm", &[&a, &b, &c], &attributes);
    }
    let y = l.write("Gemm", &[&a, &b, &c], &attributes);
    finish(l, &y, 7)
}

/// `QLinearAdd` and `QLinearMul`.
pub fn binary(l: &mut Lowering) -> Option<()> {
    let (a, b) = (dequantized(l, 0, None)?, dequantized(l, 3, None)?);
    let y = l.write(standard_op(l), &[&a, &b], &[]);
    finish(l, &y, 6)
}

/// `QLinearSigmoid` and `QLinearLeakyRelu`.
pub fn unary(l: &mut Lowering) -> Option<()> {
    let x = dequantized(l, 0, None)?;
    let y = l.write(standard_op(l), &[&x], &l.attributes(&["alpha"]));
    finish(l, &y, 3)
}

/// `QLinearAveragePool` and `QLinearGlobalAveragePool`.
pub fn pool(l: &mut Lowering) -> Option<()> {
    let mut x = dequantized(l, 0, None)?;
    let last = l.int("channels_last", 0) != 0;
    if last {
        x = l.transpose(&x, &TO_CHANNELS_FIRST);
    }
    let mut y = l.write(standard_op(l), &[&x], &l.window());
    if last {
        y = l.transpose(&y, &TO_CHANNELS_LAST);
    }
    finish(l, &y, 3)
}

pub fn reduce_mean(l: &mut Lowering) -> Option<()> {
    let x = dequantized(l, 0, None)?;
    let axes = l.node.ints("axes").map(<[i64]>::to_vec);
    let axes = axes.map(|axes| l.integers(&axes)).unwrap_or_default();
    let y = l.write("ReduceMean", &[&x, &axes], &l.attributes(&["keepdims"]));
    finish(l, &y, 3)
}

/// `QLinearSoftmax`. Its attribute `opset` says of which operator set its axis is; before 13 the axes from it on were one.
pub fn softmax(l: &mut Lowering) -> Option<()> {
    let before_13 = l.int("opset", 13) < 13;
    let axis = l.int("axis", if before_13 { 1 } else { -1 });
    let x = dequantized(l, 0, None)?;
    if !before_13 {
        let y = l.write("Softmax", &[&x], &[Attribute::from_int("axis", axis)]);
        return finish(l, &y, 3);
    }
    let flat = l.write("Flatten", &[&x], &[Attribute::from_int("axis", axis)]);
    let y = l.write("Softmax", &[&flat], &[Attribute::from_int("axis", -1)]);
    let shape = l.write("Shape", &[&x], &[]);
    let y = l.write("Reshape", &[&y, &shape], &[]);
    finish(l, &y, 3)
}

/// `QLinearConcat`: the result's scale and zero point, then three inputs a tensor.
pub fn concat(l: &mut Lowering) -> Option<()> {
    let parts = (2..l.node.input.len()).step_by(3).map(|first| dequantized(l, first, None));
    let parts = parts.collect::<Option<Vec<_>>>()?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let y = l.write("Concat", &parts, &l.attributes(&["axis"]));
    finish(l, &y, 0)
}

/// `DynamicQuantizeMatMul`: A in float, B with its scale and zero point, a bias.
pub fn dynamic_quantize_matmul(l: &mut Lowering) -> Option<()> {
    let (a, b, b_scale) = (l.input(0)?, l.input(1)?, l.input(2)?);
    let (b_zero, bias) = (l.input(3).unwrap_or_default(), l.input(4));
    let [quantized, scale, zero] = l.write_dynamic_quantizer(a);
    let product = l.write("MatMulInteger", &[&quantized, b, &zero, b_zero], &[]);
    finish_product(l, &product, &scale, b_scale, bias)
}

/// `MatMulIntegerToFloat`: A, B, their scales, their zero points, a bias.
pub fn matmul_to_float(l: &mut Lowering) -> Option<()> {
    let (a, b, a_scale, b_scale) = (l.input(0)?, l.input(1)?, l.input(2)?, l.input(3)?);
    let (a_zero, b_zero) = (l.input(4).unwrap_or_default(), l.input(5).unwrap_or_default());
    let product = l.write("MatMulInteger", &[a, b, a_zero, b_zero], &[]);
    finish_product(l, &product, a_scale, b_scale, l.input(6))
}

/// An integer product, in the units of both scales, as float numbers with a bias.
fn finish_product(l: &mut Lowering, product: &str, a: &str, b: &str, bias: Option<&str>) -> Option<()> {
    let float = l.write("Cast", &[product], &[Attribute::from_int("to", DataType::Float as i64)]);
    let scale = l.write("Mul", &[a, b], &[]);
    let Some(bias) = bias else { return l.finish("Mul", &[&float, &scale], &[]) };
    let scaled = l.write("Mul", &[&float, &scale], &[]);
    l.finish("Add", &[&scaled, bias], &[])
}

/// The standard op whose quantised form a node is.
fn standard_op<'n>(l: &Lowering<'n>) -> &'n str {
    l.node.op().trim_start_matches("QLinear")
}
