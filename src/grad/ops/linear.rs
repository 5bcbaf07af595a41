//! Matrix products.

use crate::error::Result;
use crate::grad::value::Value;
use crate::grad::vjp::{Gradient, Vjp};
use crate::onnx::einsum_terms;
use crate::onnx::proto::Attribute;

/// `y = α A' B' + β C`, where `'` is an optional transposition: `dA' = α dy B'ᵀ`, `dB' = α A'ᵀ dy`, `dC = β dy`.
///
/// <https://onnx.ai/onnx/operators/onnx__Gemm.html>, opset 7 on.
pub fn gemm(vjp: Vjp) -> Gradient {
    let dy = vjp.dy()?;
    let alpha = vjp.float("alpha", 1.0);
    let (transposed_a, transposed_b) = (vjp.int("transA", 0), vjp.int("transB", 0));
    if vjp.input == 2 {
        return vjp.unbroadcast(dy * vjp.float("beta", 1.0));
    }
    let (a, b) = (vjp.operand(0)?, vjp.operand(1)?);
    if let Some(class) = vjp.writer.class_of(dy).filter(|_| vjp.input == 0 && transposed_a == 0) {
        let rows = rows_of(b, transposed_b != 0, class);
        return Ok(Some(if (alpha - 1.0).abs() < f32::EPSILON { rows } else { rows * alpha }));
    }
    let (left, right, transposed_left, transposed_right) = match (vjp.input, transposed_a, transposed_b) {
        (0, 0, _) => (dy, b, 0, 1 - transposed_b),
        (0, _, _) => (b, dy, transposed_b, 1),
        (_, _, 0) => (a, dy, 1 - transposed_a, 0),
        (_, _, _) => (dy, a, 1, transposed_a),
    };
    let attributes = [
        Attribute::from_float("alpha", alpha),
        Attribute::from_int("transA", transposed_left),
        Attribute::from_int("transB", transposed_right),
    ];
    Ok(Some(left.apply("Gemm", &[right], &attributes)))
}

/// The rows `[N,C]` of the classes `class` `[N]`: rows of a matrix `[K,C]`, or if it is not transposed, columns of
/// a matrix `[C,K]`.
fn rows_of<'g>(matrix: Value<'g>, transposed: bool, class: Value<'g>) -> Value<'g> {
    if transposed { matrix.gather(class, 0) } else { matrix.gather(class, 1).transpose(&[1, 0]) }
}

/// `y = A B` over the last two axes, with the axes before them broadcast: `dA = dy Bᵀ`, `dB = Aᵀ dy`.
///
/// <https://onnx.ai/onnx/operators/onnx__MatMul.html>, opset 1 on.
pub fn matmul(vjp: Vjp) -> Gradient {
    let dy = vjp.dy()?;
    let other = 1 - vjp.input;
    let factor = vjp.operand(other)?;
    if let Some(class) = vjp.writer.class_of(dy).filter(|_| vjp.input == 0)
        && vjp.operand_shape(other)?.len() == 2
        && vjp.x_shape()?.len() >= 2
    {
        return Ok(Some(rows_of(factor, false, class)));
    }
    product_gradient(vjp, dy, factor)
}

/// The gradient of a matrix product by one factor, given the other one.
pub fn product_gradient<'g>(vjp: Vjp<'g>, dy: Value<'g>, factor: Value<'g>) -> Gradient<'g> {
    let (x, rank) = (vjp.x_shape()?, vjp.operand_shape(1 - vjp.input)?.len());
    if rank == 1 && vjp.input == 0 && x.len() >= 2 {
        // A matrix times a vector: dA = dy bᵀ.
        return Ok(Some(dy.unsqueeze(&[-1]) * factor));
    }
    if rank < 2 || x.len() < 2 {
        return Err(vjp.unsupported("a vector"));
    }
    let factor = factor.swap_last_axes(rank);
    let product = if vjp.input == 0 { dy.matmul(factor) } else { factor.matmul(dy) };
    // The product has the batch axes of y, and x may lack some of them.
    let y = vjp.y_shape()?;
    vjp.unbroadcast_from(product, &[&y[..y.len() - 2], &x[x.len() - 2..]].concat())
}

/// `y = Σ of products of the inputs` over the letters that the output lacks. The gradient of an input is such a sum
/// of products of `dy` and the other inputs, repeated along the letters that only this input has.
///
/// <https://onnx.ai/onnx/operators/onnx__Einsum.html>, opset 12 on.
pub fn einsum(vjp: Vjp) -> Gradient {
    let inputs = 0..vjp.node.input.len();
    let ranks = inputs.map(|input| Ok(vjp.operand_shape(input)?.len())).collect::<Result<Vec<_>>>()?;
    let Some((terms, output)) = einsum_terms(vjp.node, &ranks) else {
        return Err(vjp.unsupported("an equation of this form"));
    };
    let (own, x) = (&terms[vjp.input], vjp.x_shape()?);
    let repeated = |term: &String| term.chars().any(|letter| term.matches(letter).count() > 1);
    if terms.iter().any(repeated) {
        return Err(vjp.unsupported("a diagonal"));
    }
    let mut factors = Vec::new();
    let mut equation = vec![output.as_str()];
    for (input, term) in terms.iter().enumerate().filter(|(input, _)| *input != vjp.input) {
        let same = |(letter, &size): (char, &usize)| own.find(letter).is_none_or(|axis| x[axis] == size);
        if !term.chars().zip(vjp.operand_shape(input)?).all(same) {
            return Err(vjp.unsupported("broadcasting within an equation"));
        }
        factors.push(vjp.operand(input)?);
        equation.push(term);
    }
    let shared: String = own.chars().filter(|&letter| equation.iter().any(|term| term.contains(letter))).collect();
    let equation = format!("{}->{shared}", equation.join(","));
    let product = vjp.dy()?.apply("Einsum", &factors, &[Attribute::from_string("equation", &equation)]);
    if shared == *own {
        return Ok(Some(product));
    }
    let lost = (0..).zip(own.chars()).filter(|(_, letter)| !shared.contains(*letter));
    let lost: Vec<i64> = lost.map(|(axis, _)| axis).collect();
    Ok(Some(product.unsqueeze(&lost).expand(vjp.x().shape())))
}
