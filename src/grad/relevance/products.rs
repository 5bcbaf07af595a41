//! Products. Where several factors depend on the picture, they share the relevance in equal parts: the uniform rule (Achtibat
//! et al. 2024, equation 7).

use crate::grad::ops::{arithmetic, attention as attention_op, linear};
use crate::grad::value::Value;
use crate::grad::vjp::{Gradient, Vjp};

/// Matrix products. A factor that is constant, and what is added, get none.
pub fn uniform(vjp: Vjp) -> Gradient {
    let gradient = match vjp.node.op() {
        "MatMul" => linear::matmul(vjp)?,
        "Gemm" => linear::gemm(vjp)?,
        _ => linear::einsum(vjp)?,
    };
    // What Gemm adds is no factor.
    let is_term = |input: usize| vjp.node.op() == "Gemm" && input == 2;
    let factors = vjp.variable.iter().filter(|input| !is_term(**input)).count();
    Ok(if is_term(vjp.input) { gradient } else { shared(gradient, factors) })
}

/// Products of elements. A factor that is a reciprocal divides, as in [`super::elementwise::quotient`].
pub fn mul(vjp: Vjp) -> Gradient {
    let divides = |input: &usize| {
        let made_by = vjp.node.input.get(*input).and_then(|factor| vjp.graph.producer_node(factor));
        made_by.is_some_and(|node| node.op() == "Reciprocal")
    };
    let factors = vjp.variable.iter().filter(|input| !divides(input)).count();
    if factors > 0 && divides(&vjp.input) {
        return Ok(None);
    }
    Ok(shared(arithmetic::mul(vjp)?, factors))
}

/// `y = softmax(Q Kᵀ) V` as one op: half for V, and of the other half, half for Q and K each.
pub fn attention(vjp: Vjp) -> Gradient {
    let gradient = attention_op::attention(vjp)?;
    let depends = |input: usize| vjp.variable.contains(&input);
    let weights = usize::from(depends(0)) + usize::from(depends(1));
    let sides = usize::from(depends(2)) + weights.min(1);
    Ok(shared(gradient, if vjp.input == 2 { sides } else { sides * weights }))
}

fn shared(gradient: Option<Value>, factors: usize) -> Option<Value> {
    if factors > 1 { gradient.map(|gradient| gradient * (1.0 / factors as f32)) } else { gradient }
}
