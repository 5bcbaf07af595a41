//! Matrix products.

use crate::error::Result;
use crate::grad::Vjp;
use crate::onnx::proto::Attribute;

/// `y = α A' B' + β C`, where `'` is an optional transposition: `dA' = α dy B'ᵀ`,
/// `dB' = α A'ᵀ dy`, `dC = β dy`.
///
/// <https://onnx.ai/onnx/operators/onnx__Gemm.html>, opset 7 on.
pub fn gemm(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let alpha = vjp.node.float("alpha").unwrap_or(1.0);
    let trans_a = vjp.node.int("transA").unwrap_or(0);
    let trans_b = vjp.node.int("transB").unwrap_or(0);
    if vjp.input == 2 {
        let beta = vjp.backward.scalar(vjp.node.float("beta").unwrap_or(1.0));
        let scaled = vjp.emit("Mul", &[&grad, &beta], vec![]);
        return vjp.unbroadcast(scaled).map(Some);
    }
    let (a, b) = (vjp.input_name(0)?, vjp.input_name(1)?);
    let (left, right, trans_left, trans_right) = match (vjp.input, trans_a, trans_b) {
        (0, 0, _) => (grad.as_str(), b, 0, 1 - trans_b),
        (0, _, _) => (b, grad.as_str(), trans_b, 1),
        (_, _, 0) => (a, grad.as_str(), 1 - trans_a, 0),
        (_, _, _) => (grad.as_str(), a, 1, trans_a),
    };
    let attributes = vec![
        Attribute::from_float("alpha", alpha),
        Attribute::from_int("transA", trans_left),
        Attribute::from_int("transB", trans_right),
    ];
    Ok(Some(vjp.emit("Gemm", &[left, right], attributes)))
}

/// `y = A B` over the last two axes, the axes before them broadcast: `dA = dy Bᵀ`, `dB = Aᵀ dy`.
///
/// <https://onnx.ai/onnx/operators/onnx__MatMul.html>, opset 1 on.
pub fn matmul(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let other = 1 - vjp.input;
    let rank = vjp.input_shape(other)?.len();
    if rank < 2 || vjp.input_shape(vjp.input)?.len() < 2 {
        return Err(vjp.unsupported("a vector"));
    }
    let mut order: Vec<i64> = (0..rank as i64).collect();
    order.swap(rank - 1, rank - 2);
    let transposed = vjp.emit("Transpose", &[vjp.input_name(other)?], vec![Attribute::from_ints("perm", &order)]);
    let product = if vjp.input == 0 {
        vjp.emit("MatMul", &[&grad, &transposed], vec![])
    } else {
        vjp.emit("MatMul", &[&transposed, &grad], vec![])
    };
    // The product has the batch axes of `y`; those along which the wanted input was broadcast go.
    let (y, wanted) = (vjp.output_shape()?, vjp.input_shape(vjp.input)?);
    let full = [&y[..y.len() - 2], &wanted[wanted.len() - 2..]].concat();
    vjp.unbroadcast_from(product, &full).map(Some)
}
