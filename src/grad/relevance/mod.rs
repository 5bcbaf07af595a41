//! Layer-wise relevance propagation (LRP), as a second table of rules for the same walk.
//!
//! A rule passes on the relevance of a tensor divided by the tensor, `R / x`, so that relevance is the product of both. For a sum
//! of products, LRP-ε with ε → 0 is then the vector-Jacobian product: `R_x = x Wᵀ (R_y / y)`. So it is for sums, pooling, and the
//! softmax of `AttnLRP`; their gradient rules serve here too. This table holds the ops whose relevance is passed on otherwise.
//! One exception: a rectifier after a convolution leaves it to the convolution's rule to divide, see [`conv::rectified`].
//!
//! Bach et al., *On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance Propagation*, PLOS ONE
//! 2015; Montavon et al., *Layer-Wise Relevance Propagation: An Overview*, 2019; Achtibat et al., *`AttnLRP`: Attention-Aware
//! Layer-Wise Relevance Propagation for Transformers*, ICML 2024, <https://arxiv.org/abs/2402.05602>.

mod conv;
mod elementwise;
mod products;
mod signs;
mod variable;

pub use variable::varies;

use super::ops::pool;
use super::rules::{OpKind, Rule};
use super::value::Value;
use crate::onnx::proto::Node;

/// How convolutions share their relevance among their inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvRule {
    /// By what each input adds, LRP-ε with ε → 0.
    Epsilon,
    /// By what each input adds with positive sign.
    ZPlus,
    /// As [`ConvRule::Epsilon`], with what has the sign of the output a quarter larger.
    Gamma,
}

/// What keeps denominators from being 0.
const STABILISER: f32 = 1e-6;

/// `y / x`, and 0 where `x` is 0.
fn ratio<'g>(y: Value<'g>, x: Value<'g>) -> Value<'g> {
    y * x / (x * x + STABILISER * STABILISER)
}

/// The rule for a node, where it is not that of the gradient.
pub fn rule_of(node: &Node, conv: ConvRule) -> Option<Rule> {
    let rule: Rule = match node.op() {
        "Conv" => match conv {
            ConvRule::Epsilon => return None,
            ConvRule::ZPlus => conv::z_plus,
            ConvRule::Gamma => conv::gamma,
        },
        "MaxPool" => pool::max_pool_shared,
        "Mul" => products::mul,
        "MatMul" | "Gemm" | "Einsum" => products::uniform,
        "Attention" => products::attention,
        "ReduceSumSquare" => products::square,
        "Div" => elementwise::quotient,
        "Relu" | "Clip" if conv != ConvRule::Epsilon => conv::rectified,
        "Clip" => elementwise::clip,
        // y / x is the slope.
        "Relu" | "LeakyRelu" | "PRelu" | "ThresholdedRelu" => return None,
        "Abs" | "Atan" | "Cos" | "Erf" | "Exp" | "Log" | "Pow" | "Reciprocal" | "Sin" | "Sqrt" => elementwise::identity,
        _ if OpKind::of(node) == OpKind::Activation => elementwise::identity,
        _ => return None,
    };
    Some(rule)
}
