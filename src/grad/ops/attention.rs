//! Attention as one op.

use crate::error::Result;
use crate::grad::Vjp;
use crate::onnx::proto::Attribute;

/// `y = P V`, `P = softmax(s Q Kᵀ + mask)`: `dV = Pᵀ dy`, and with `dS = P (dP - Σ dP P)`, `dP = dy Vᵀ`:
/// `dQ = s dS K`, `dK = s dSᵀ Q`. Inputs `[N,heads,T,d]`, or `[N,T,heads·d]` with their heads stated.
///
/// <https://onnx.ai/onnx/operators/onnx__Attention.html>, opset 23 on; Vaswani et al., *Attention Is All
/// You Need*, 2017.
pub fn attention(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input > 2 {
        return Err(vjp.unsupported("a mask that depends on the picture"));
    }
    let set = |name: &str| vjp.node.int(name).is_some_and(|v| v != 0);
    if set("is_causal") || vjp.node.float("softcap").is_some_and(|v| v != 0.0) || vjp.input_name(4).is_ok() {
        return Err(vjp.unsupported("causal, capped or cached attention"));
    }
    let grad = vjp.grad()?;
    let (query_heads, heads) = (vjp.node.int("q_num_heads"), vjp.node.int("kv_num_heads"));
    let folded = vjp.input_shape(0)?.len() == 3;
    if folded && query_heads != heads || !folded && vjp.input_shape(0)?[1] != vjp.input_shape(1)?[1] {
        return Err(vjp.unsupported("fewer heads of keys than of queries"));
    }
    let heads = heads.unwrap_or(1);
    let shape = vjp.input_shape(0)?;
    let width = if folded { shape[2] as i64 / heads.max(1) } else { shape[3] as i64 };
    let scale = vjp.node.float("scale").unwrap_or(1.0 / (width as f32).sqrt());
    let scale = vjp.backward.scalar(scale);
    let [q, k, v] = [vjp.input_name(0)?, vjp.input_name(1)?, vjp.input_name(2)?];
    let [q, k, v, grad] = [q, k, v, &grad].map(|t| if folded { unfold(vjp, t, heads) } else { t.to_owned() });

    let scaled = vjp.emit("Mul", &[&q, &scale], vec![]);
    let keys = swap(vjp, &k);
    let mut scores = vjp.emit("MatMul", &[&scaled, &keys], vec![]);
    if let Ok(mask) = vjp.input_name(3) {
        scores = if vjp.kind(mask) == Some(crate::onnx::DataType::Bool) {
            let never = vjp.backward.scalar(f32::NEG_INFINITY);
            vjp.emit("Where", &[mask, &scores, &never], vec![])
        } else {
            vjp.emit("Add", &[&scores, mask], vec![])
        };
    }
    let weights = vjp.emit("Softmax", &[&scores], vec![Attribute::from_int("axis", -1)]);
    let gradient = if vjp.input == 2 {
        let weights = swap(vjp, &weights);
        vjp.emit("MatMul", &[&weights, &grad], vec![])
    } else {
        let values = swap(vjp, &v);
        let of_weights = vjp.emit("MatMul", &[&grad, &values], vec![]);
        let product = vjp.emit("Mul", &[&of_weights, &weights], vec![]);
        let axes = vjp.backward.int64s(&[-1]);
        let sum = vjp.emit("ReduceSum", &[&product, &axes], vec![]);
        let rest = vjp.emit("Sub", &[&of_weights, &sum], vec![]);
        let of_scores = vjp.emit("Mul", &[&rest, &weights], vec![]);
        let of_scores = vjp.emit("Mul", &[&of_scores, &scale], vec![]);
        if vjp.input == 0 {
            vjp.emit("MatMul", &[&of_scores, &k], vec![])
        } else {
            let of_scores = swap(vjp, &of_scores);
            vjp.emit("MatMul", &[&of_scores, &q], vec![])
        }
    };
    if !folded {
        return Ok(Some(gradient));
    }
    let order = vec![Attribute::from_ints("perm", &[0, 2, 1, 3])];
    let together = vjp.emit("Transpose", &[&gradient], order);
    Ok(Some(vjp.backward.reshape_like(&together, vjp.wanted())))
}

/// `[N,T,heads·d]` to `[N,heads,T,d]`.
fn unfold(vjp: &mut Vjp, tensor: &str, heads: i64) -> String {
    let shape = vjp.backward.int64s(&[0, 0, heads, -1]);
    let apart = vjp.emit("Reshape", &[tensor, &shape], vec![]);
    vjp.emit("Transpose", &[&apart], vec![Attribute::from_ints("perm", &[0, 2, 1, 3])])
}

/// `[N,heads,a,b]` to `[N,heads,b,a]`.
fn swap(vjp: &mut Vjp, tensor: &str) -> String {
    vjp.emit("Transpose", &[tensor], vec![Attribute::from_ints("perm", &[0, 1, 3, 2])])
}
