//! The table of gradient rules, one line an op.

use super::Vjp;
use super::ops::{activation, arithmetic, conv, linear, norm, pool, shape};
use crate::error::{Error, Result};
use crate::onnx::proto::Node;

/// The gradient of a node with respect to one of its inputs: the name of the tensor that holds
/// it, or `None` where it is zero everywhere.
pub type Rule = fn(&mut Vjp) -> Result<Option<String>>;

pub const RULES: &[(&str, Rule)] = &[
    ("Add", arithmetic::add),
    ("AveragePool", pool::average_pool),
    ("BatchNormalization", norm::batch_normalization),
    ("Conv", conv::conv),
    ("Dropout", shape::identity),
    ("Flatten", shape::reshape),
    ("Gemm", linear::gemm),
    ("GlobalAveragePool", pool::global_average_pool),
    ("Identity", shape::identity),
    ("MatMul", linear::matmul),
    ("MaxPool", pool::max_pool),
    ("Mul", arithmetic::mul),
    ("ReduceMean", pool::reduce_mean),
    ("Relu", activation::relu),
    ("Reshape", shape::reshape),
    ("Sigmoid", activation::sigmoid),
    ("Squeeze", shape::reshape),
    ("Sub", arithmetic::sub),
    ("Transpose", shape::transpose),
    ("Unsqueeze", shape::reshape),
];

/// Ops whose output does not change with a small change of any input, or is no number.
pub const NOT_DIFFERENTIABLE: &[&str] = &[
    "And",
    "ArgMax",
    "ArgMin",
    "Ceil",
    "Constant",
    "ConstantOfShape",
    "Equal",
    "Floor",
    "Greater",
    "GreaterOrEqual",
    "IsInf",
    "IsNaN",
    "Less",
    "LessOrEqual",
    "NonZero",
    "Not",
    "OneHot",
    "Or",
    "Range",
    "Round",
    "Shape",
    "Sign",
    "Size",
    "Xor",
];

#[allow(clippy::unnecessary_wraps)]
fn zero(_: &mut Vjp) -> Result<Option<String>> {
    Ok(None)
}

/// The rule for a node.
///
/// # Errors
/// The op has none.
pub fn find(node: &Node) -> Result<Rule> {
    if node.is_standard() {
        if let Some((_, rule)) = RULES.iter().find(|(op, _)| *op == node.op()) {
            return Ok(*rule);
        }
        if NOT_DIFFERENTIABLE.contains(&node.op()) {
            return Ok(zero);
        }
    }
    let domain = if node.is_standard() { String::new() } else { format!("{}.", node.domain()) };
    Err(Error::NoGradientRule { op: format!("{domain}{}", node.op()), node: node.label().to_owned() })
}
