//! Convolutions whose inputs share relevance by the signs of what they add.

use super::elementwise::clip;
use super::signs::{is_nonnegative, padding_value, rectifier};
use super::{STABILISER, varies};
use crate::error::Result;
use crate::grad::graph_writer::with_pads;
use crate::grad::ops::activation;
use crate::grad::ops::conv::{conv, input_gradient};
use crate::grad::ops::shape::spatial_pads;
use crate::grad::value::Value;
use crate::grad::vjp::{Gradient, Vjp};
use crate::onnx::proto::{Attribute, Node};

/// How much larger what has the sign of the output is made.
const GAMMA: f32 = 0.25;

/// A part of the relevance, and the weights by which inputs share it.
struct Share<'g> {
    /// `R_y`, in the shape of `y`.
    relevance: Value<'g>,
    sign: Sign,
    /// The weights of positive inputs.
    positive: Value<'g>,
    /// The weights of negative inputs.
    negative: Value<'g>,
    bias: Option<Value<'g>>,
}

/// The sign of a denominator.
enum Sign {
    /// It is positive.
    Positive,
    /// It is positive wherever the relevance is not zero.
    PositiveWhereRelevant,
    /// It is negative wherever the relevance is not zero.
    NegativeWhereRelevant,
}

/// `R_x = x⁺ W⁺ᵀ s + x⁻ W⁻ᵀ s`, `s = R_y / (W⁺ x⁺ + W⁻ x⁻ + b⁺)`, where `⁺` and `⁻` are the positive and the negative part:
/// the z⁺-rule (Bach et al. 2015, with α = 1).
pub fn z_plus(vjp: Vjp) -> Gradient {
    if vjp.input != 0 || !has_constant_weights(vjp, vjp.node) {
        return conv(vjp);
    }
    let weights = vjp.operand(1)?;
    let (relevance, rectified) = relevance(vjp)?;
    let positive = weights.max(0.0);
    // The stabiliser is part of the bias, so that it costs no op. A runtime may still round a small denominator to 0 or below;
    // after a rectifier the relevance is 0 there.
    let sign = if rectified { Sign::Positive } else { Sign::PositiveWhereRelevant };
    let bias = if let Ok(bias) = vjp.operand(2) {
        bias.max(0.0) + STABILISER
    } else {
        let channels = vjp.operand_shape(1)?[0];
        vjp.writer.floats(&[channels as i64], &vec![STABILISER; channels])
    };
    let negative = weights - positive;
    passed(vjp, &[Share { relevance, sign, positive, negative, bias: Some(bias) }])
}

/// The z-rule with weights `W + γ W⁺` where the output is positive, and `W + γ W⁻` where it is negative; for negative inputs
/// the other way round (Montavon et al. 2019; Andéol et al., *Learning Domain Invariant Representations by Joint Wasserstein
/// Distance Minimization*, 2021).
pub fn gamma(vjp: Vjp) -> Gradient {
    if vjp.input != 0 || !has_constant_weights(vjp, vjp.node) {
        return conv(vjp);
    }
    let (weights, bias) = (vjp.operand(1)?, vjp.operand(2).ok());
    let (raised, lowered) = (weights + up(weights), weights - up(-weights));
    let (relevance, rectified) = relevance(vjp)?;
    if rectified {
        let bias = bias.map(|bias| bias + up(bias));
        let sign = Sign::PositiveWhereRelevant;
        return passed(vjp, &[Share { relevance, sign, positive: raised, negative: lowered, bias }]);
    }
    let y = vjp.y();
    let above = Share {
        relevance: relevance * y.greater(0.0).to_float(),
        sign: Sign::PositiveWhereRelevant,
        positive: raised,
        negative: lowered,
        bias: bias.map(|bias| bias + up(bias)),
    };
    let below = Share {
        relevance: relevance * y.less(0.0).to_float(),
        sign: Sign::NegativeWhereRelevant,
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

/// `R_y`, and whether it is zero where `y` is not positive.
fn relevance(vjp: Vjp) -> Result<(Value, bool)> {
    let y = |node: &Node| node.output.first().map_or(vjp.y(), |y| vjp.writer.tensor(y.as_str()));
    match merged(vjp, vjp.node) {
        Some(rectifier) => Ok((y(rectifier) * vjp.dy()?, true)),
        None => Ok((vjp.y() * vjp.dy()?, follower(vjp, vjp.node).is_some())),
    }
}

/// A rectifier `y = f(x)`, `R_x = R_y`. After a convolution that it is [`merged`] with, it hands on `R_y / y`, which only the
/// rule of that convolution knows to read.
pub fn rectified(vjp: Vjp) -> Gradient {
    let before = vjp.graph.producer_node(vjp.x_name()).filter(|node| vjp.input == 0 && node.op() == "Conv");
    match before.and_then(|conv| merged(vjp, conv)) {
        Some(_) => vjp.dy().map(Some),
        None if vjp.node.op() == "Relu" => activation::relu(vjp),
        None => clip(vjp),
    }
}

/// The rectifier whose output's relevance a convolution takes: their rules are one, which saves ops, and lets the runtime fuse
/// both. `0 ∞` would be no number.
fn merged<'g>(vjp: Vjp<'g>, conv: &Node) -> Option<&'g Node> {
    let is_target = conv.output.iter().any(|y| y == vjp.target);
    follower(vjp, conv).filter(|_| !is_target && !vjp.infinite && has_constant_weights(vjp, conv))
}

/// The rectifier that all relevance of a convolution comes through.
fn follower<'g>(vjp: Vjp<'g>, conv: &Node) -> Option<&'g Node> {
    let y = conv.output.first().filter(|y| *y != vjp.output)?;
    rectifier(vjp.graph, y)
}

/// Whether the picture decides what goes into a convolution, and not its weights.
fn has_constant_weights(vjp: Vjp, conv: &Node) -> bool {
    let varies = |input: &String| varies(vjp.graph, input, vjp.target);
    conv.input.first().is_some_and(varies) && !conv.input.iter().skip(1).any(varies)
}

/// What all shares pass on, divided by `x`.
fn passed<'g>(vjp: Vjp<'g>, shares: &[Share<'g>]) -> Gradient<'g> {
    let both_signs = !is_nonnegative(vjp.graph, vjp.x_name());
    let (x, attributes) = unpadded(vjp).unwrap_or_else(|| (vjp.x(), vjp.node.attribute.clone()));
    let above = if both_signs { x.relu() } else { x };
    let convolved = |x: Value<'g>, weights: Value<'g>, bias: Option<Value<'g>>| {
        let operands: Vec<Value> = std::iter::once(weights).chain(bias).collect();
        x.apply("Conv", &operands, &attributes)
    };
    let (mut of_positive, mut of_negative) = (Vec::new(), Vec::new());
    for share in shares {
        let mut z = convolved(above, share.positive, share.bias);
        if both_signs {
            z = z + convolved(x * x.less(0.0).to_float(), share.negative, None);
        }
        let s = share.relevance
            / match share.sign {
                Sign::Positive => z,
                Sign::PositiveWhereRelevant => z.max(STABILISER),
                Sign::NegativeWhereRelevant => z.min(-STABILISER),
            };
        of_positive.push(input_gradient(vjp, s, share.positive)?);
        if both_signs {
            of_negative.push(input_gradient(vjp, s, share.negative)?);
        }
    }
    let of_positive = vjp.writer.sum(&of_positive);
    if !both_signs {
        return Ok(Some(of_positive));
    }
    let [is_positive, is_negative] = [vjp.x().greater(0.0), vjp.x().less(0.0)].map(Value::to_float);
    Ok(Some(is_positive * of_positive + is_negative * vjp.writer.sum(&of_negative)))
}

/// What a `Pad` of zeros before the convolution pads, and the attributes of the convolution that pads it itself.
fn unpadded(vjp: Vjp) -> Option<(Value, Vec<Attribute>)> {
    let (conv, pad) = (vjp.node, vjp.graph.producer_node(vjp.x_name()).filter(|node| node.op() == "Pad")?);
    if padding_value(vjp.graph, pad) != Some(0.0)
        || conv.string("auto_pad").is_some_and(|auto_pad| auto_pad != "NOTSET")
    {
        return None;
    }
    let mut pads = spatial_pads(vjp.graph, pad)?;
    for (pad, own) in pads.iter_mut().zip(conv.ints("pads").unwrap_or_default()) {
        *pad += own;
    }
    Some((vjp.writer.tensor(pad.input.first()?.as_str()), with_pads(&conv.attribute, &pads)))
}
