//! The table of gradient rules, one line an op.

use super::Vjp;
use super::ops::{activation, arithmetic, conv, linear, norm, pool, reduce, shape};
use crate::error::{Error, Result};
use crate::onnx::proto::Node;

/// The gradient of a node with respect to one of its inputs: the name of the tensor that holds
/// it, or `None` where it is zero everywhere.
pub type Rule = fn(&mut Vjp) -> Result<Option<String>>;

pub const RULES: &[(&str, Rule)] = &[
    ("Abs", arithmetic::abs),
    ("Add", arithmetic::add),
    ("AveragePool", pool::average_pool),
    ("BatchNormalization", norm::batch_normalization),
    ("Cast", arithmetic::cast),
    ("Celu", activation::celu),
    ("Clip", activation::clip),
    ("Concat", shape::concat),
    ("Conv", conv::conv),
    ("ConvTranspose", conv::conv_transpose),
    ("DepthToSpace", shape::depth_to_space),
    ("Div", arithmetic::div),
    ("Dropout", shape::identity),
    ("Elu", activation::elu),
    ("Erf", activation::erf),
    ("Exp", arithmetic::exp),
    ("Expand", arithmetic::expand),
    ("Flatten", shape::reshape),
    ("Gather", shape::selection),
    ("GatherElements", shape::selection),
    ("GatherND", shape::selection),
    ("Gelu", activation::gelu),
    ("Gemm", linear::gemm),
    ("GlobalAveragePool", reduce::mean),
    ("GlobalLpPool", pool::global_lp_pool),
    ("GlobalMaxPool", reduce::extreme),
    ("GroupNormalization", norm::group_normalization),
    ("HardSigmoid", activation::hard_sigmoid),
    ("HardSwish", activation::hard_swish),
    ("Identity", shape::identity),
    ("InstanceNormalization", norm::instance_normalization),
    ("LRN", norm::local_response_normalization),
    ("LayerNormalization", norm::layer_normalization),
    ("LeakyRelu", activation::leaky_relu),
    ("Log", arithmetic::log),
    ("LogSoftmax", activation::log_softmax),
    ("MatMul", linear::matmul),
    ("Max", arithmetic::extreme),
    ("MaxPool", pool::max_pool),
    ("Mean", arithmetic::mean),
    ("Min", arithmetic::extreme),
    ("Mish", activation::mish),
    ("Mul", arithmetic::mul),
    ("Neg", arithmetic::neg),
    ("PRelu", activation::prelu),
    ("Pad", shape::pad),
    ("Pow", arithmetic::pow),
    ("Reciprocal", arithmetic::reciprocal),
    ("ReduceL1", reduce::l1),
    ("ReduceL2", reduce::l2),
    ("ReduceLogSumExp", reduce::log_sum_exp),
    ("ReduceMax", reduce::extreme),
    ("ReduceMean", reduce::mean),
    ("ReduceMin", reduce::extreme),
    ("ReduceSum", reduce::sum),
    ("ReduceSumSquare", reduce::sum_square),
    ("Relu", activation::relu),
    ("Reshape", shape::reshape),
    ("Selu", activation::selu),
    ("Sigmoid", activation::sigmoid),
    ("Slice", shape::selection),
    ("Softmax", activation::softmax),
    ("Softplus", activation::softplus),
    ("Softsign", activation::softsign),
    ("SpaceToDepth", shape::space_to_depth),
    ("Split", shape::split),
    ("Sqrt", arithmetic::sqrt),
    ("Squeeze", shape::reshape),
    ("Sub", arithmetic::sub),
    ("Sum", arithmetic::add),
    ("Tanh", activation::tanh),
    ("Tile", arithmetic::tile),
    ("Transpose", shape::transpose),
    ("Unsqueeze", shape::reshape),
    ("Where", arithmetic::choice),
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

/// Whether a gradient can pass an op of the standard set, or is known to end there.
pub fn is_known(op: &str) -> bool {
    RULES.iter().any(|(known, _)| *known == op) || NOT_DIFFERENTIABLE.contains(&op)
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
