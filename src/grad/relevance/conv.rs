//! Convolutions whose inputs share relevance by the signs of what they add.

use super::STABILISER;
use super::signs::{is_nonnegative, rectifier};
use crate::error::Result;
use crate::grad::ops::conv::{conv, input_gradient};
use crate::grad::value::Value;
use crate::grad::vjp::{Gradient, Vjp};

/// How much larger what has the sign of the output is made.
const GAMMA: f32 = 0.25;

/// A part of the relevance, and the weights by which inputs share it.
struct Share<'g> {
    /// `R_y`, in the shape of `y`.
    relevance: Value<'g>,
    /// Whether the denominator is negative wherever the relevance is not zero; else it is positive there.
    below: bool,
    /// The weights of positive inputs.
    positive: Value<'g>,
    /// The weights of negative inputs.
    negative: Value<'g>,
    bias: Option<Value<'g>>,
}

/// `R_x = x⁺ W⁺ᵀ s + x⁻ W⁻ᵀ s`, `s = R_y / (W⁺ x⁺ + W⁻ x⁻ + b⁺)`, where `⁺` and `⁻` are the positive and the negative part:
/// the z⁺-rule (Bach et al. 2015, with α = 1).
pub fn z_plus(vjp: Vjp) -> Gradient {
    if !has_constant_weights(vjp) {
        return conv(vjp);
    }
    let (weights, bias) = (vjp.operand(1)?, vjp.operand(2).ok());
    let (relevance, _) = relevance(vjp)?;
    let positive = weights.max(0.0);
    let bias = bias.map(|bias| bias.max(0.0));
    passed(vjp, &[Share { relevance, below: false, positive, negative: weights - positive, bias }])
}

/// The z-rule with weights `W + γ W⁺` where the output is positive, and `W + γ W⁻` where it is negative; for negative inputs
/// the other way round (Montavon et al. 2019; Andéol et al., *Learning Domain Invariant Representations by Joint Wasserstein
/// Distance Minimization*, 2021).
pub fn gamma(vjp: Vjp) -> Gradient {
    if !has_constant_weights(vjp) {
        return conv(vjp);
    }
    let (weights, bias) = (vjp.operand(1)?, vjp.operand(2).ok());
    let (raised, lowered) = (weights + up(weights), weights - up(-weights));
    let (relevance, rectified) = relevance(vjp)?;
    if rectified {
        let bias = bias.map(|bias| bias + up(bias));
        return passed(vjp, &[Share { relevance, below: false, positive: raised, negative: lowered, bias }]);
    }
    let y = vjp.y();
    let above = Share {
        relevance: relevance * y.greater(0.0).to_float(),
        below: false,
        positive: raised,
        negative: lowered,
        bias: bias.map(|bias| bias + up(bias)),
    };
    let below = Share {
        relevance: relevance * y.less(0.0).to_float(),
        below: true,
        positive: lowered,
        negative: raised,
        bias: bias.map(|bias| bias - up(-bias)),
    };
    passed(vjp, &[above, below])
}

/// `γ t⁺`.
fn up(tensor: Value) -> Value {
    tensor.max(0.0) * GAMMA
}

fn has_constant_weights(vjp: Vjp) -> bool {
    vjp.input == 0 && vjp.variable == [0]
}

/// `R_y = y dy`, and whether it is zero where `y` is not positive. Where only a `ReLU` reads `y`, its output is taken, so that
/// the runtime can still fuse both.
fn relevance(vjp: Vjp) -> Result<(Value, bool)> {
    let rectifier = rectifier(vjp.graph, vjp.y_name());
    let relu = rectifier.filter(|node| node.op() == "Relu").and_then(|node| node.output.first());
    let y = relu.map_or(vjp.y(), |rectified| vjp.writer.tensor(rectified.as_str()));
    Ok((y * vjp.dy()?, rectifier.is_some()))
}

/// What all shares pass on, divided by `x`.
fn passed<'g>(vjp: Vjp<'g>, shares: &[Share<'g>]) -> Gradient<'g> {
    let x = vjp.x();
    let both_signs = !is_nonnegative(vjp.graph, vjp.x_name());
    let above = if both_signs { x.max(0.0) } else { x };
    let convolved = |x: Value<'g>, weights: Value<'g>, bias: Option<Value<'g>>| {
        let operands: Vec<Value> = std::iter::once(weights).chain(bias).collect();
        x.apply("Conv", &operands, &vjp.node.attribute)
    };
    let (mut of_positive, mut of_negative) = (Vec::new(), Vec::new());
    for share in shares {
        let mut z = convolved(above, share.positive, share.bias);
        if both_signs {
            z = z + convolved(x - above, share.negative, None);
        }
        let size = if share.below { -z } else { z }.max(0.0) + STABILISER;
        let s = share.relevance / if share.below { -size } else { size };
        of_positive.push(input_gradient(vjp, s, share.positive)?);
        if both_signs {
            of_negative.push(input_gradient(vjp, s, share.negative)?);
        }
    }
    let of_positive = vjp.writer.sum(&of_positive);
    Ok(Some(if both_signs { x.greater(0.0).choose(of_positive, vjp.writer.sum(&of_negative)) } else { of_positive }))
}
