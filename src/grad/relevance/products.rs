//! Products. Where several factors depend on the picture, they share the relevance in equal parts: the uniform rule (Achtibat
//! et al. 2024, equation 7).

use super::variable;
use crate::grad::ops::{arithmetic, attention as attention_op, linear, reduce};
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

/// Products of elements. A factor that is a reciprocal divides, as in [`super::elementwise::quotient`], and one that is a
/// function of the other makes an activation with it, all of whose relevance goes to the other.
pub fn mul(vjp: Vjp) -> Gradient {
    let name = |input: usize| vjp.node.input.get(input).map_or("", String::as_str);
    let divides = |input: usize| vjp.graph.producer_node(name(input)).is_some_and(|node| node.op() == "Reciprocal");
    let gates = |gate: usize| variable::gates(vjp.graph, name(gate), name(1 - gate), vjp.target) && name(0) != name(1);
    if vjp.variable == [0, 1] {
        let aside = |input: usize| divides(input) && !divides(1 - input) || gates(input);
        if aside(vjp.input) {
            return Ok(None);
        }
        if aside(1 - vjp.input) {
            return arithmetic::mul(vjp);
        }
    }
    Ok(shared(arithmetic::mul(vjp)?, vjp.variable.len()))
}

/// `y = Σ x²`: each number is both factors.
pub fn square(vjp: Vjp) -> Gradient {
    Ok(shared(reduce::sum_square(vjp)?, 2))
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
