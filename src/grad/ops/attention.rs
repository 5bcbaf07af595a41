//! Attention as one op.

use crate::error::Result;
use crate::grad::value::Value;
use crate::grad::vjp::{Gradient, Vjp};
use crate::onnx::DataType;

/// Between `[N,heads,T,d]` and `[N,T,heads,d]`, in both directions.
const HEADS_AND_TOKENS: [i64; 4] = [0, 2, 1, 3];

/// `y = P V`, `P = softmax(s Q Kᵀ + mask)`: `dV = Pᵀ dy`; and with `dP = dy Vᵀ`, `dS = P (dP - Σ dP P)`:
/// `dQ = s dS K`, `dK = s dSᵀ Q`. The inputs are `[N,heads,T,d]`, or `[N,T,heads·d]` with the number of heads as
/// an attribute.
///
/// <https://onnx.ai/onnx/operators/onnx__Attention.html>, opset 23 on; Vaswani et al., *Attention Is All You
/// Need*, 2017.
pub fn attention(vjp: Vjp) -> Gradient {
    check_form(vjp)?;
    let shape = vjp.operand_shape(0)?;
    let folded = shape.len() == 3;
    let heads = vjp.int("kv_num_heads", 1);
    let width = if folded { shape[2] as i64 / heads.max(1) } else { shape[3] as i64 };
    let scale = vjp.float("scale", 1.0 / (width as f32).sqrt());
    let [q, k, v, dy] = [vjp.operand(0)?, vjp.operand(1)?, vjp.operand(2)?, vjp.dy()?]
        .map(|t| if folded { t.reshape(&[0, 0, heads, -1]).transpose(&HEADS_AND_TOKENS) } else { t });

    let p = masked(vjp, (q * scale).matmul(k.swap_last_axes(4)))?.softmax(-1);
    let gradient = if vjp.input == 2 {
        p.swap_last_axes(4).matmul(dy)
    } else {
        let dp = dy.matmul(v.swap_last_axes(4));
        let ds = (dp - (dp * p).sum_over(&[-1])) * p * scale;
        if vjp.input == 0 { ds.matmul(k) } else { ds.swap_last_axes(4).matmul(q) }
    };
    Ok(Some(if folded { gradient.transpose(&HEADS_AND_TOKENS).reshape_like(vjp.x_name()) } else { gradient }))
}

/// Rejects the forms of the op that the rule does not cover.
fn check_form(vjp: Vjp) -> Result<()> {
    if vjp.input > 2 {
        return Err(vjp.unsupported("a mask that depends on the picture"));
    }
    let causal = vjp.int("is_causal", 0) != 0;
    let capped = vjp.node.float("softcap").is_some_and(|cap| cap != 0.0);
    if causal || capped || vjp.operand_name(4).is_ok() {
        return Err(vjp.unsupported("causal, capped or cached attention"));
    }
    let (q, k) = (vjp.operand_shape(0)?, vjp.operand_shape(1)?);
    let grouped = if q.len() == 3 { vjp.node.int("q_num_heads") != vjp.node.int("kv_num_heads") } else { q[1] != k[1] };
    if grouped {
        return Err(vjp.unsupported("fewer heads of keys than of queries"));
    }
    Ok(())
}

/// The scores with the mask applied: added, or for a Boolean mask -∞ where it is false.
fn masked<'g>(vjp: Vjp<'g>, scores: Value<'g>) -> Result<Value<'g>> {
    let Ok(mask) = vjp.operand(3) else { return Ok(scores) };
    let choice = vjp.kind(vjp.operand_name(3)?) == Some(DataType::Bool);
    Ok(if choice { mask.choose(scores, f32::NEG_INFINITY) } else { scores + mask })
}
