//! The table of gradient rules, one line an op.

use super::Vjp;
use super::ops::{activation, arithmetic, attention, conv, linear, norm, pool, quantize, reduce, resize, shape};
use crate::error::{Error, Result};
use crate::onnx::proto::Node;

/// The gradient of a node with respect to one of its inputs: the name of the tensor that holds
/// it, or `None` where it is zero everywhere.
pub type Rule = fn(&mut Vjp) -> Result<Option<String>>;

pub const RULES: &[(&str, Rule)] = &[
    ("Abs", arithmetic::abs),
    ("Add", arithmetic::add),
    ("Atan", activation::atan),
    ("Attention", attention::attention),
    ("AveragePool", pool::average_pool),
    ("BatchNormalization", norm::batch_normalization),
    ("Cast", arithmetic::cast),
    ("CastLike", arithmetic::cast_like),
    ("Celu", activation::celu),
    ("Clip", activation::clip),
    ("Concat", shape::concat),
    ("Conv", conv::conv),
    ("ConvTranspose", conv::conv_transpose),
    ("Cos", arithmetic::cos),
    ("CumSum", shape::cumulative_sum),
    ("DepthToSpace", shape::depth_to_space),
    ("DequantizeLinear", quantize::dequantize),
    ("Div", arithmetic::div),
    ("Dropout", shape::identity),
    ("Einsum", linear::einsum),
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
    ("LpNormalization", norm::lp_normalization),
    ("LpPool", pool::lp_pool),
    ("MatMul", linear::matmul),
    ("Max", arithmetic::extreme),
    ("MaxPool", pool::max_pool),
    ("Mean", arithmetic::mean),
    ("MeanVarianceNormalization", norm::mean_variance_normalization),
    ("Min", arithmetic::extreme),
    ("Mish", activation::mish),
    ("Mul", arithmetic::mul),
    ("Neg", arithmetic::neg),
    ("PRelu", activation::prelu),
    ("Pad", shape::pad),
    ("Pow", arithmetic::pow),
    ("QuantizeLinear", quantize::quantize),
    ("RMSNormalization", norm::rms_normalization),
    ("Reciprocal", arithmetic::reciprocal),
    ("ReduceL1", reduce::l1),
    ("ReduceL2", reduce::l2),
    ("ReduceLogSum", reduce::log_sum),
    ("ReduceLogSumExp", reduce::log_sum_exp),
    ("ReduceMax", reduce::extreme),
    ("ReduceMean", reduce::mean),
    ("ReduceMin", reduce::extreme),
    ("ReduceProd", reduce::product),
    ("ReduceSum", reduce::sum),
    ("ReduceSumSquare", reduce::sum_square),
    ("Relu", activation::relu),
    ("Reshape", shape::reshape),
    ("Resize", resize::resize),
    ("ScatterElements", shape::scatter_updates),
    ("ScatterND", shape::scatter_updates),
    ("Selu", activation::selu),
    ("Shrink", activation::shrink),
    ("Sigmoid", activation::sigmoid),
    ("Sin", arithmetic::sin),
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
    ("Swish", activation::swish),
    ("Tanh", activation::tanh),
    ("ThresholdedRelu", activation::thresholded_relu),
    ("Tile", arithmetic::tile),
    ("TopK", shape::top_k),
    ("Transpose", shape::transpose),
    ("Trilu", shape::triangle),
    ("Unsqueeze", shape::reshape),
    ("Where", arithmetic::choice),
];

/// Ops whose output does not change with a small change of any input, or is no number.
pub const NOT_DIFFERENTIABLE: &[&str] = &[
    "And",
    "ArgMax",
    "ArgMin",
    "Bernoulli",
    "BitwiseAnd",
    "BitwiseNot",
    "BitwiseOr",
    "BitwiseXor",
    "Ceil",
    "Constant",
    "ConstantOfShape",
    "Equal",
    "EyeLike",
    "Floor",
    "Greater",
    "GreaterOrEqual",
    "Hardmax",
    "IsInf",
    "IsNaN",
    "Less",
    "LessOrEqual",
    "NonZero",
    "Not",
    "OneHot",
    "Or",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Range",
    "Round",
    "Shape",
    "Sign",
    "Size",
    "Unique",
    "Xor",
];

#[allow(clippy::unnecessary_wraps)]
fn zero(_: &mut Vjp) -> Result<Option<String>> {
    Ok(None)
}

/// The rules in use: those of the table, and a caller's own, which go before them.
#[derive(Clone, Default)]
pub struct Rules {
    own: Vec<(String, String, Rule)>,
}

impl Rules {
    /// Adds a rule for an op of a domain; the standard one is `""`.
    #[must_use]
    pub fn with(mut self, domain: &str, op: &str, rule: Rule) -> Self {
        self.own.insert(0, (domain.to_owned(), op.to_owned(), rule));
        self
    }

    /// Whether a gradient can pass a node, or is known to end there.
    pub fn know(&self, node: &Node) -> bool {
        self.find(node).is_ok()
    }

    /// The rule for a node.
    ///
    /// # Errors
    /// The op has none.
    pub fn find(&self, node: &Node) -> Result<Rule> {
        let domain = if node.is_standard() { "" } else { node.domain() };
        if let Some((_, _, rule)) = self.own.iter().find(|(d, op, _)| d == domain && op == node.op()) {
            return Ok(*rule);
        }
        if node.is_standard() {
            if let Some((_, rule)) = RULES.iter().find(|(op, _)| *op == node.op()) {
                return Ok(*rule);
            }
            if NOT_DIFFERENTIABLE.contains(&node.op()) {
                return Ok(zero);
            }
        }
        let name = if node.is_standard() { node.op().to_owned() } else { format!("{domain}.{}", node.op()) };
        Err(Error::NoGradientRule { op: name, node: node.label().to_owned() })
    }
}
