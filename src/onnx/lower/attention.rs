//! ONNX Runtime's attention ops, as products and a softmax. Forms with a mask or a memory of earlier tokens, which no
//! image classifier has, are left as they are.

use super::lowering::Lowering;
use crate::onnx::proto::Attribute;

/// Attention: queries, keys and values are one product of `x` `[N,T,D]` and the weights `[D,3D]`, plus a bias.
pub fn attention(l: &mut Lowering) -> Option<()> {
    let plain = (3..l.node.input.len()).all(|input| l.input(input).is_none()) && l.int("unidirectional", 0) == 0;
    let &[_, columns] = l.weight_shape(1).filter(|_| plain)? else { return None };
    let sizes = match l.node.ints("qkv_hidden_sizes") {
        Some(&[q, k, v]) => [q, k, v],
        Some(_) => return None,
        None => [columns / 3; 3],
    };
    let mut projected = l.write("MatMul", &[l.input(0)?, l.input(1)?], &[]);
    if let Some(bias) = l.input(2) {
        projected = l.write("Add", &[&projected, bias], &[]);
    }
    let mut start = 0;
    let parts = sizes.map(|size| {
        let bounds = [start, start + size, 2].map(|value| l.integers(&[value]));
        start += size;
        l.write("Slice", &[&projected, &bounds[0], &bounds[1], &bounds[2]], &[])
    });
    finish_heads(l, &parts, sizes)
}

/// `MultiHeadAttention`: queries, keys and values `[N,T,D]`, and one bias `[3D]` for all.
pub fn multi_head_attention(l: &mut Lowering) -> Option<()> {
    let plain = (4..l.node.input.len()).all(|input| l.input(input).is_none()) && l.int("unidirectional", 0) == 0;
    let parts = [l.input(0)?, l.input(1).filter(|_| plain)?, l.input(2)?];
    let Some(bias) = l.input(3) else {
        // Without a bias nothing tells the size of a head but the reshape itself.
        return finish_heads(l, &parts.map(str::to_owned), [-1; 3]);
    };
    let &[length] = l.weight_shape(3)? else { return None };
    let size = length / 3;
    let mut start = 0;
    let parts = parts.map(|part| {
        let [from, to, axis] = [start, start + size, 0].map(|value| l.integers(&[value]));
        start += size;
        let own = l.write("Slice", &[bias, &from, &to, &axis], &[]);
        l.write("Add", &[part, &own], &[])
    });
    finish_heads(l, &parts, [size; 3])
}

/// `softmax(scale Q Kᵀ) V` in every head, with the heads side by side again. A size of -1 is not known.
fn finish_heads(l: &mut Lowering, parts: &[String; 3], sizes: [i64; 3]) -> Option<()> {
    let heads = l.node.int("num_heads").filter(|heads| *heads > 0)?;
    let scale = l.float("scale", 0.0);
    let [q, k, v] = [0, 1, 2].map(|part| {
        let length = if sizes[part] < 0 { -1 } else { sizes[part] / heads };
        let shape = l.integers(&[0, 0, heads, length]);
        let split = l.write("Reshape", &[&parts[part], &shape], &[]);
        let order = if part == 1 { [0, 2, 3, 1] } else { [0, 2, 1, 3] };
        l.transpose(&split, &order)
    });
    let scale = match (scale > 0.0, sizes[0] > 0) {
        (true, _) => scale,
        (false, true) => 1.0 / ((sizes[0] / heads) as f32).sqrt(),
        (false, false) => return None,
    };
    let scale = l.number(scale);
    let scores = l.write("MatMul", &[&q, &k], &[]);
    let scores = l.write("Mul", &[&scores, &scale], &[]);
    let weights = l.write("Softmax", &[&scores], &[Attribute::from_int("axis", -1)]);
    let mixed = l.write("MatMul", &[&weights, &v], &[]);
    let mixed = l.transpose(&mixed, &[0, 2, 1, 3]);
    let shape = l.integers(&[0, 0, -1]);
    l.finish("Reshape", &[&mixed, &shape], &[])
}
