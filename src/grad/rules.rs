//! The table of gradient rules, one line per op.

use OpKind::{Activation, Layout, Norm, Other, Pooling, Product, Quantising, Transparent};

use super::ops::{
    activation, arithmetic, attention, conv, linear, norm, pool, quantize, reduce, resize, sample, shape,
};
use super::relevance::{ConvRule, rule_of};
use super::vjp::{Gradient, Vjp};
use crate::error::{Error, Result};
use crate::onnx::proto::Node;

/// Writes the gradient of a node with respect to one of its inputs.
pub type Rule = for<'g> fn(Vjp<'g>) -> Gradient<'g>;

/// What an op does in a classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpKind {
    /// An element-wise non-linearity.
    Activation,
    /// A normalisation over axes of its input.
    Norm,
    /// A reduction over windows or over whole maps.
    Pooling,
    /// The same numbers in another shape or order, or some of them.
    Layout,
    /// The same numbers at inference time, possibly in another float type.
    Transparent,
    /// A conversion to or from quantised numbers.
    Quantising,
    /// A convolution or matrix product.
    Product,
    /// Any other op.
    Other,
}

impl OpKind {
    /// The kind of a node's op; [`OpKind::Other`] for one that has no rule here.
    pub fn of(node: &Node) -> Self {
        built_in(node).map_or(Other, |(_, kind, _)| *kind)
    }
}

/// Every op with a rule, its kind and the rule.
pub const RULES: &[(&str, OpKind, Rule)] = &[
    ("Abs", Other, arithmetic::abs),
    ("Add", Other, arithmetic::add),
    ("Atan", Other, activation::atan),
    ("Attention", Other, attention::attention),
    ("AveragePool", Pooling, pool::average_pool),
    ("BatchNormalization", Norm, norm::batch_normalization),
    ("Cast", Transparent, arithmetic::cast),
    ("CastLike", Other, arithmetic::cast_like),
    ("Celu", Activation, activation::celu),
    ("Clip", Activation, activation::clip),
    ("Concat", Other, shape::concat),
    ("Conv", Product, conv::conv),
    ("ConvInteger", Product, quantize::conv_integer),
    ("ConvTranspose", Product, conv::conv_transpose),
    ("Cos", Other, arithmetic::cos),
    ("CumSum", Other, shape::cumulative_sum),
    ("DepthToSpace", Other, shape::depth_to_space),
    ("DequantizeLinear", Quantising, quantize::dequantize),
    ("Div", Other, arithmetic::div),
    ("Dropout", Transparent, shape::identity),
    ("DynamicQuantizeLinear", Quantising, quantize::dynamic_quantize),
    ("Einsum", Product, linear::einsum),
    ("Elu", Activation, activation::elu),
    ("Erf", Other, activation::erf),
    ("Exp", Other, arithmetic::exp),
    ("Expand", Other, arithmetic::expand),
    ("Flatten", Layout, shape::reshape),
    ("Gather", Layout, shape::selection),
    ("GatherElements", Other, shape::selection),
    ("GatherND", Other, shape::selection),
    ("Gelu", Activation, activation::gelu),
    ("Gemm", Product, linear::gemm),
    ("GlobalAveragePool", Pooling, reduce::mean),
    ("GlobalLpPool", Pooling, pool::global_lp_pool),
    ("GlobalMaxPool", Pooling, reduce::extreme),
    ("GridSample", Other, sample::grid_sample),
    ("GroupNormalization", Norm, norm::group_normalization),
    ("HardSigmoid", Activation, activation::hard_sigmoid),
    ("HardSwish", Activation, activation::hard_swish),
    ("Identity", Transparent, shape::identity),
    ("InstanceNormalization", Norm, norm::instance_normalization),
    ("LRN", Other, norm::local_response_normalization),
    ("LayerNormalization", Norm, norm::layer_normalization),
    ("LeakyRelu", Activation, activation::leaky_relu),
    ("Log", Other, arithmetic::log),
    ("LogSoftmax", Other, activation::log_softmax),
    ("LpNormalization", Other, norm::lp_normalization),
    ("LpPool", Pooling, pool::lp_pool),
    ("MatMul", Product, linear::matmul),
    ("MatMulInteger", Product, quantize::matmul_integer),
    ("Max", Other, arithmetic::extreme),
    ("MaxPool", Pooling, pool::max_pool),
    ("Mean", Other, arithmetic::mean),
    ("MeanVarianceNormalization", Norm, norm::mean_variance_normalization),
    ("Min", Other, arithmetic::extreme),
    ("Mish", Activation, activation::mish),
    ("Mul", Other, arithmetic::mul),
    ("Neg", Other, arithmetic::neg),
    ("PRelu", Activation, activation::prelu),
    ("Pad", Other, shape::pad),
    ("Pow", Other, arithmetic::pow),
    ("QuantizeLinear", Quantising, quantize::quantize),
    ("RMSNormalization", Norm, norm::rms_normalization),
    ("Reciprocal", Other, arithmetic::reciprocal),
    ("ReduceL1", Other, reduce::l1),
    ("ReduceL2", Other, reduce::l2),
    ("ReduceLogSum", Other, reduce::log_sum),
    ("ReduceLogSumExp", Other, reduce::log_sum_exp),
    ("ReduceMax", Other, reduce::extreme),
    ("ReduceMean", Other, reduce::mean),
    ("ReduceMin", Other, reduce::extreme),
    ("ReduceProd", Other, reduce::product),
    ("ReduceSum", Other, reduce::sum),
    ("ReduceSumSquare", Other, reduce::sum_square),
    ("Relu", Activation, activation::relu),
    ("Reshape", Layout, shape::reshape),
    ("Resize", Other, resize::resize),
    ("RoiAlign", Other, sample::roi_align),
    ("Round", Other, quantize::round),
    ("ScatterElements", Other, shape::scatter_updates),
    ("ScatterND", Other, shape::scatter_updates),
    ("Selu", Activation, activation::selu),
    ("Shrink", Activation, activation::shrink),
    ("Sigmoid", Activation, activation::sigmoid),
    ("Sin", Other, arithmetic::sin),
    ("Slice", Layout, shape::selection),
    ("Softmax", Other, activation::softmax),
    ("Softplus", Activation, activation::softplus),
    ("Softsign", Activation, activation::softsign),
    ("SpaceToDepth", Other, shape::space_to_depth),
    ("Split", Layout, shape::split),
    ("Sqrt", Other, arithmetic::sqrt),
    ("Squeeze", Layout, shape::reshape),
    ("Sub", Other, arithmetic::sub),
    ("Sum", Other, arithmetic::add),
    ("Swish", Activation, activation::swish),
    ("Tanh", Activation, activation::tanh),
    ("ThresholdedRelu", Activation, activation::thresholded_relu),
    ("Tile", Other, arithmetic::tile),
    ("TopK", Other, shape::top_k),
    ("Transpose", Layout, shape::transpose),
    ("Trilu", Other, shape::triangle),
    ("Unsqueeze", Layout, shape::reshape),
    ("Where", Other, arithmetic::choice),
];

/// Ops whose output is constant under small changes of every input, or is not a number.
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
    "Shape",
    "Sign",
    "Size",
    "Unique",
    "Xor",
];

/// Ops of ONNX Runtime's own operator set that mean the same as the standard ones, with more types of numbers.
const OF_MICROSOFT: &[&str] = &["DequantizeLinear", "QuantizeLinear"];

/// The line of [`RULES`] for a node.
fn built_in(node: &Node) -> Option<&'static (&'static str, OpKind, Rule)> {
    let known = node.is_standard() || node.domain() == "com.microsoft" && OF_MICROSOFT.contains(&node.op());
    RULES.iter().find(|(op, _, _)| known && *op == node.op())
}

#[allow(clippy::unnecessary_wraps)]
fn zero(_: Vjp) -> Gradient {
    Ok(None)
}

/// The rules in use: the caller's, then those of relevance if they are wanted, then those of [`RULES`].
#[derive(Clone, Default)]
pub struct Rules {
    own: Vec<(String, String, Rule)>,
    /// Passes on relevance in place of gradients, with this rule for convolutions.
    relevance: Option<ConvRule>,
}

impl Rules {
    /// The rules of layer-wise relevance propagation. What the walk finds is then relevance divided by the target's values.
    pub fn of_relevance(conv: ConvRule) -> Self {
        Self { own: Vec::new(), relevance: Some(conv) }
    }

    /// Whether these are rules of relevance.
    pub fn pass_relevance(&self) -> bool {
        self.relevance.is_some()
    }

    /// Adds a rule for an op of a domain; the standard domain is `""`. It overrides earlier rules for that op.
    #[must_use]
    pub fn with(mut self, domain: &str, op: &str, rule: Rule) -> Self {
        self.own.insert(0, (domain.to_owned(), op.to_owned(), rule));
        self
    }

    /// Whether a node has a rule, or is known to have no gradient.
    pub fn know(&self, node: &Node) -> bool {
        self.find(node).is_ok()
    }

    /// The rule for a node.
    ///
    /// # Errors
    /// Its op has none.
    pub fn find(&self, node: &Node) -> Result<Rule> {
        let domain = if node.is_standard() { "" } else { node.domain() };
        if let Some((_, _, rule)) = self.own.iter().find(|(d, op, _)| d == domain && op == node.op()) {
            return Ok(*rule);
        }
        let built_in = built_in(node);
        if let Some(rule) = self.relevance.filter(|_| built_in.is_some()).and_then(|conv| rule_of(node, conv)) {
            return Ok(rule);
        }
        if let Some((_, _, rule)) = built_in {
            return Ok(*rule);
        }
        if node.is_standard() && NOT_DIFFERENTIABLE.contains(&node.op()) {
            return Ok(zero);
        }
        let name = if node.is_standard() { node.op().to_owned() } else { format!("{domain}.{}", node.op()) };
        Err(Error::NoGradientRule { op: name, node: node.label().to_owned() })
    }
}
