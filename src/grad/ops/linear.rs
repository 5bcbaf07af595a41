//! Matrix products.

use crate::error::Result;
use crate::grad::Vjp;
use crate::onnx::proto::{Attribute, Node};

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
    if let Some(class) = vjp.backward.class_of(&grad).filter(|_| vjp.input == 0 && trans_a == 0) {
        let rows = rows_of(vjp, b, trans_b != 0, &class);
        if (alpha - 1.0).abs() < f32::EPSILON {
            return Ok(Some(rows));
        }
        let alpha = vjp.backward.scalar(alpha);
        return Ok(Some(vjp.emit("Mul", &[&rows, &alpha], vec![])));
    }
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

/// The rows of a matrix `[K,C]` (or, not transposed, the columns of one `[C,K]`) that belong to the
/// classes, as `[N,C]`.
fn rows_of(vjp: &mut Vjp, matrix: &str, transposed: bool, class: &str) -> String {
    let axis = Attribute::from_int("axis", i64::from(!transposed));
    let rows = vjp.emit("Gather", &[matrix, class], vec![axis]);
    if transposed { rows } else { vjp.emit("Transpose", &[&rows], vec![Attribute::from_ints("perm", &[1, 0])]) }
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
    if let Some(class) = vjp.backward.class_of(&grad).filter(|_| vjp.input == 0 && rank == 2) {
        return Ok(Some(rows_of(vjp, vjp.input_name(1)?, false, &class)));
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

/// `y = Σ of products of the inputs over the letters that the output lacks`: the gradient of one input
/// is such a sum of `dy` and the other inputs, spread along the letters that only this input has.
///
/// <https://onnx.ai/onnx/operators/onnx__Einsum.html>, opset 12 on.
pub fn einsum(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let ranks = (0..vjp.node.input.len()).map(|i| Ok(vjp.input_shape(i)?.len())).collect::<Result<Vec<_>>>()?;
    let Some((terms, output)) = einsum_terms(vjp.node, &ranks) else {
        return Err(vjp.unsupported("an equation of this form"));
    };
    let wanted = terms[vjp.input].clone();
    let x = vjp.input_shape(vjp.input)?;
    let repeated = |term: &str| term.chars().any(|letter| term.matches(letter).count() > 1);
    if terms.iter().any(|term| repeated(term)) {
        return Err(vjp.unsupported("a diagonal"));
    }
    let mut inputs = vec![grad.as_str()];
    let mut equation = vec![output];
    for (input, term) in terms.iter().enumerate().filter(|(input, _)| *input != vjp.input) {
        let same = |(letter, &size): (char, &usize)| wanted.find(letter).is_none_or(|at| x[at] == size);
        if !term.chars().zip(vjp.input_shape(input)?).all(same) {
            return Err(vjp.unsupported("broadcasting within an equation"));
        }
        inputs.push(vjp.input_name(input)?);
        equation.push(term.clone());
    }
    let found: String = wanted.chars().filter(|&letter| equation.iter().any(|term| term.contains(letter))).collect();
    let equation = format!("{}->{found}", equation.join(","));
    let mut product = vjp.emit("Einsum", &inputs, vec![Attribute::from_string("equation", &equation)]);
    if found != wanted {
        let lost: Vec<i64> = (0..).zip(wanted.chars()).filter(|(_, l)| !found.contains(*l)).map(|(at, _)| at).collect();
        let axes = vjp.backward.int64s(&lost);
        product = vjp.emit("Unsqueeze", &[&product, &axes], vec![]);
        let shape = vjp.emit("Shape", &[vjp.wanted()], vec![]);
        product = vjp.emit("Expand", &[&product, &shape], vec![]);
    }
    Ok(Some(product))
}

/// The terms of an Einsum equation, one letter an axis: those of the inputs, and that of the output.
/// `None` for an equation that does not go with the inputs' ranks.
pub fn einsum_terms(node: &Node, ranks: &[usize]) -> Option<(Vec<String>, String)> {
    let equation: String = node.string("equation")?.chars().filter(|c| !c.is_whitespace()).collect();
    let (inputs, output) = match equation.split_once("->") {
        Some((inputs, output)) => (inputs, Some(output.to_owned())),
        None => (equation.as_str(), None),
    };
    let terms: Vec<&str> = inputs.split(',').collect();
    let named = |term: &str| term.chars().filter(char::is_ascii_alphabetic).count();
    let dots = terms.iter().zip(ranks).filter(|(term, _)| term.contains("..."));
    let dots = dots.map(|(term, rank)| rank.checked_sub(named(term))).collect::<Option<Vec<_>>>()?;
    let longest = dots.iter().max().copied().unwrap_or(0);
    if terms.len() != ranks.len() || dots.iter().any(|d| *d != longest) {
        return None;
    }
    let free: String =
        ('a'..='z').chain('A'..='Z').filter(|letter| !equation.contains(*letter)).take(longest).collect();
    let output = output.unwrap_or_else(|| {
        // Without an arrow the output has the letters that occur once, in alphabetical order.
        let mut letters: Vec<char> =
            inputs.chars().filter(|l| l.is_alphabetic() && inputs.matches(*l).count() == 1).collect();
        letters.sort_unstable();
        format!("{}{}", if dots.is_empty() { "" } else { "..." }, letters.into_iter().collect::<String>())
    });
    let terms: Vec<String> = terms.iter().map(|term| term.replace("...", &free)).collect();
    let fit = terms.iter().zip(ranks).all(|(term, rank)| term.len() == *rank && !term.contains('.'));
    fit.then(|| (terms, output.replace("...", &free)))
}
