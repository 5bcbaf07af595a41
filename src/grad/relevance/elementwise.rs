//! Ops of one variable input, element by element.

use super::signs::clips_at_zero;
use super::{STABILISER, ratio};
use crate::grad::ops::arithmetic;
use crate::grad::vjp::{Gradient, Vjp};

/// `y = f(x)`, `R_x = R_y`: the identity rule (Achtibat et al. 2024, equation 9).
pub fn identity(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Ok(None);
    }
    vjp.chain(ratio(vjp.y(), vjp.x()))
}

/// As [`identity`], for `y = min(max(x, 0), high)`, which takes fewer ops; any other clipping is as [`identity`] has it.
pub fn clip(vjp: Vjp) -> Gradient {
    if vjp.input == 0 && clips_at_zero(vjp.graph, vjp.node) {
        return vjp.chain(vjp.y() / vjp.x().max(STABILISER));
    }
    identity(vjp)
}

/// `y = a / b`, `R_a = R_y`. A divisor gets relevance only if nothing else depends on the picture: what normalises counts as
/// constant, as in layer normalisation.
pub fn quotient(vjp: Vjp) -> Gradient {
    match vjp.input {
        0 => arithmetic::div(vjp),
        _ if vjp.variable.contains(&0) => Ok(None),
        _ => vjp.unbroadcast(vjp.dy()? * ratio(vjp.y(), vjp.x())),
    }
}
