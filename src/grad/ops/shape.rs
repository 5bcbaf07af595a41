//! Ops that move numbers and do not change them.

use crate::error::Result;
use crate::grad::Vjp;
use crate::onnx::proto::Attribute;

/// `y = x`, `dx = dy`.
///
/// <https://onnx.ai/onnx/operators/onnx__Identity.html>, opset 1 on;
/// <https://onnx.ai/onnx/operators/onnx__Dropout.html>, opset 7 on, inference form.
pub fn identity(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Ok(None);
    }
    vjp.grad().map(Some)
}

/// `y = x in another shape`, `dx = dy in the shape of x`.
///
/// <https://onnx.ai/onnx/operators/onnx__Reshape.html>, opset 5 on;
/// <https://onnx.ai/onnx/operators/onnx__Flatten.html>, opset 1 on;
/// <https://onnx.ai/onnx/operators/onnx__Squeeze.html> and
/// <https://onnx.ai/onnx/operators/onnx__Unsqueeze.html>, opset 13 on.
pub fn reshape(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Ok(None);
    }
    let grad = vjp.grad()?;
    Ok(Some(vjp.backward.reshape_like(&grad, vjp.wanted())))
}

/// `y = x with its axes in another order`, `dx = dy with the order undone`.
///
/// <https://onnx.ai/onnx/operators/onnx__Transpose.html>, opset 1 on.
pub fn transpose(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let rank = vjp.input_shape(0)?.len();
    let order = vjp.node.ints("perm").map_or_else(|| (0..rank as i64).rev().collect(), <[i64]>::to_vec);
    let mut undone = vec![0; rank];
    for (to, &from) in order.iter().enumerate() {
        let place = usize::try_from(from).ok().filter(|f| *f < rank);
        let Some(place) = place else { return Err(vjp.error("its perm is out of range")) };
        undone[place] = to as i64;
    }
    Ok(Some(vjp.emit("Transpose", &[&grad], vec![Attribute::from_ints("perm", &undone)])))
}

/// `y = some numbers of x, by their places`, `dx = dy put back at those places, summed`: the op
/// itself, run on the places of x instead of its numbers, says where each number of y came from.
///
/// <https://onnx.ai/onnx/operators/onnx__Slice.html>, opset 10 on;
/// <https://onnx.ai/onnx/operators/onnx__Gather.html>, opset 1 on;
/// <https://onnx.ai/onnx/operators/onnx__GatherElements.html>, opset 11 on;
/// <https://onnx.ai/onnx/operators/onnx__GatherND.html>, opset 11 on.
pub fn selection(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Ok(None);
    }
    let grad = vjp.grad()?;
    let (zero, one) = (vjp.backward.int64(0), vjp.backward.int64(1));
    let size = vjp.emit("Size", &[vjp.wanted()], vec![]);
    let places = vjp.emit("Range", &[&zero, &size, &one], vec![]);
    let places = vjp.backward.reshape_like(&places, vjp.wanted());
    let mut inputs = vec![places.as_str()];
    inputs.extend(vjp.node.input[1..].iter().map(String::as_str));
    let came_from = vjp.emit(vjp.node.op(), &inputs, vjp.node.attribute.clone());
    Ok(Some(scatter(vjp, &came_from, &grad)))
}

/// Zeros in the shape of the wanted input, with `grad` added at the flat places `indices`.
pub fn scatter(vjp: &mut Vjp, indices: &str, grad: &str) -> String {
    if vjp.backward.several
        && let Ok(shape) = vjp.input_shape(vjp.input)
        && shape.len() > 1
    {
        return scatter_several(vjp, indices, grad, &shape[1..]);
    }
    let flat = vjp.backward.int64s(&[-1]);
    let indices = vjp.emit("Reshape", &[indices, &flat], vec![]);
    let grad = vjp.emit("Reshape", &[grad, &flat], vec![]);
    let size = vjp.emit("Size", &[vjp.wanted()], vec![]);
    let size = vjp.emit("Reshape", &[&size, &flat], vec![]);
    let zero = vjp.backward.scalar(0.0);
    let zeros = vjp.emit("Expand", &[&zero, &size], vec![]);
    let attributes = vec![Attribute::from_int("axis", 0), Attribute::from_string("reduction", "add")];
    let scattered = vjp.emit("ScatterElements", &[&zeros, &indices, &grad], attributes);
    vjp.backward.reshape_like(&scattered, vjp.wanted())
}

/// As [`scatter`], for several gradients of one picture, whose places are the same for all.
fn scatter_several(vjp: &mut Vjp, indices: &str, grad: &str, shape: &[usize]) -> String {
    let [row, rows] = [[1, -1], [0, -1]].map(|shape| vjp.backward.int64s(&shape));
    let indices = vjp.emit("Reshape", &[indices, &row], vec![]);
    // Of one picture the first axis may be folded with others by then, so that only this keeps it.
    let count = vjp.emit("Shape", &[grad], vec![Attribute::from_int("end", 1)]);
    let grad = vjp.emit("Reshape", &[grad, &rows], vec![]);
    let all = vjp.emit("Shape", &[&grad], vec![]);
    let indices = vjp.emit("Expand", &[&indices, &all], vec![]);
    let size = vjp.backward.int64s(&[shape.iter().product::<usize>() as i64]);
    let size = vjp.emit("Concat", &[&count, &size], vec![Attribute::from_int("axis", 0)]);
    let zero = vjp.backward.scalar(0.0);
    let zeros = vjp.emit("Expand", &[&zero, &size], vec![]);
    let attributes = vec![Attribute::from_int("axis", 1), Attribute::from_string("reduction", "add")];
    let scattered = vjp.emit("ScatterElements", &[&zeros, &indices, &grad], attributes);
    let mut whole = vec![-1];
    whole.extend(shape.iter().map(|&d| d as i64));
    let whole = vjp.backward.int64s(&whole);
    vjp.emit("Reshape", &[&scattered, &whole], vec![])
}

/// `y = the inputs, one behind the other along an axis`, `dx = its part of dy`.
///
/// <https://onnx.ai/onnx/operators/onnx__Concat.html>, opset 4 on.
pub fn concat(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let rank = vjp.output_shape()?.len() as i64;
    let axis = vjp.node.int("axis").unwrap_or(1).rem_euclid(rank.max(1));
    let length = |input: usize| vjp.input_shape(input).map(|shape| shape[axis as usize] as i64);
    let start = (0..vjp.input).map(length).sum::<Result<i64>>()?;
    let end = start + length(vjp.input)?;
    let [start, end, axes] = [start, end, axis].map(|v| vjp.backward.int64s(&[v]));
    Ok(Some(vjp.emit("Slice", &[&grad, &start, &end, &axes], vec![])))
}

/// `y₁, y₂, … = the parts of x along an axis`, `dx = dy₁, dy₂, … one behind the other`, zero for a
/// part that is not used.
///
/// <https://onnx.ai/onnx/operators/onnx__Split.html>, opset 13 on.
#[allow(clippy::unnecessary_wraps)]
pub fn split(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Ok(None);
    }
    let mut parts = Vec::new();
    for (output, grad) in vjp.node.output.iter().zip(vjp.grads) {
        parts.push(grad.clone().unwrap_or_else(|| {
            let shape = vjp.emit("Shape", &[output], vec![]);
            let zero = vjp.backward.scalar(0.0);
            vjp.emit("Expand", &[&zero, &shape], vec![])
        }));
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let axis = Attribute::from_int("axis", vjp.node.int("axis").unwrap_or(0));
    Ok(Some(vjp.emit("Concat", &parts, vec![axis])))
}

/// `y = x with a margin`, `dx = dy without it`: negative pads cut. A margin made of `x` itself gives
/// its gradient back to the places that it was taken from.
///
/// <https://onnx.ai/onnx/operators/onnx__Pad.html>, opset 11 on.
pub fn pad(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Ok(None);
    }
    if vjp.node.string("mode").is_some_and(|mode| mode != "constant") {
        return selection(vjp);
    }
    let grad = vjp.grad()?;
    let pads = vjp.emit("Neg", &[vjp.input_name(1)?], vec![]);
    Ok(Some(match vjp.input_name(3) {
        Ok(axes) => vjp.emit("Pad", &[&grad, &pads, "", axes], vec![]),
        Err(_) => vjp.emit("Pad", &[&grad, &pads], vec![]),
    }))
}

/// `y = channels moved into blocks of places`, `dx = dy moved back`.
///
/// <https://onnx.ai/onnx/operators/onnx__DepthToSpace.html>, opset 11 on. `x` `[N,C,h,w]`.
pub fn depth_to_space(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let x = vjp.input_shape(0)?;
    let [_, c, h, w] = *x else { return Err(vjp.unsupported("tensors that are not [N,C,h,w]")) };
    let block = vjp.node.int("blocksize").unwrap_or(1);
    let (c, h, w) = (c as i64, h as i64, w as i64);
    let apart = vjp.backward.int64s(&[-1, c / (block * block), h, block, w, block]);
    let order: &[i64] = if vjp.node.string("mode") == Some("CRD") { &[0, 1, 3, 5, 2, 4] } else { &[0, 3, 5, 1, 2, 4] };
    let split = vjp.emit("Reshape", &[&grad, &apart], vec![]);
    let moved = vjp.emit("Transpose", &[&split], vec![Attribute::from_ints("perm", order)]);
    Ok(Some(vjp.backward.reshape_like(&moved, vjp.wanted())))
}

/// `y = blocks of places moved into channels`, `dx = dy moved back`.
///
/// <https://onnx.ai/onnx/operators/onnx__SpaceToDepth.html>, opset 1 on. `x` `[N,C,h,w]`.
pub fn space_to_depth(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let block = vjp.node.int("blocksize").unwrap_or(1);
    Ok(Some(vjp.emit("DepthToSpace", &[&grad], vec![Attribute::from_int("blocksize", block)])))
}

/// `y = data with updates at some places`: `d data = dy`, zero at those places unless the updates are
/// added; `d updates = dy` at those places.
///
/// <https://onnx.ai/onnx/operators/onnx__ScatterND.html>, opset 11 on;
/// <https://onnx.ai/onnx/operators/onnx__ScatterElements.html>, opset 11 on.
pub fn scatter_updates(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let added = match vjp.node.string("reduction").unwrap_or("none") {
        "none" => false,
        "add" => true,
        _ => return Err(vjp.unsupported("a reduction other than add")),
    };
    let indices = vjp.input_name(1)?;
    let axis: Vec<Attribute> = vjp.node.attribute("axis").cloned().into_iter().collect();
    match vjp.input {
        0 if added => Ok(Some(grad)),
        0 => {
            let shape = vjp.emit("Shape", &[vjp.input_name(2)?], vec![]);
            let zero = vjp.backward.scalar(0.0);
            let zeros = vjp.emit("Expand", &[&zero, &shape], vec![]);
            Ok(Some(vjp.emit(vjp.node.op(), &[&grad, indices, &zeros], axis)))
        }
        2 => {
            let gather = if vjp.node.op() == "ScatterND" { "GatherND" } else { "GatherElements" };
            Ok(Some(vjp.emit(gather, &[&grad, indices], axis)))
        }
        _ => Ok(None),
    }
}

/// `y = the k largest (or least) numbers along an axis`, `dx = dy` at their places.
///
/// <https://onnx.ai/onnx/operators/onnx__TopK.html>, opset 10 on.
pub fn top_k(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Ok(None);
    }
    let grad = vjp.grad()?;
    let indices = vjp.backward.extra_output(vjp.place, 1);
    let shape = vjp.emit("Shape", &[vjp.wanted()], vec![]);
    let zero = vjp.backward.scalar(0.0);
    let zeros = vjp.emit("Expand", &[&zero, &shape], vec![]);
    let axis = Attribute::from_int("axis", vjp.node.int("axis").unwrap_or(-1));
    Ok(Some(vjp.emit("ScatterElements", &[&zeros, &indices, &grad], vec![axis])))
}

/// `y = x in one triangle, else 0`, `dx = dy` there.
///
/// <https://onnx.ai/onnx/operators/onnx__Trilu.html>, opset 14 on.
pub fn triangle(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Ok(None);
    }
    let grad = vjp.grad()?;
    let mut inputs = vec![grad.as_str()];
    inputs.extend(vjp.node.input.get(1).map(String::as_str));
    Ok(Some(vjp.emit("Trilu", &inputs, vjp.node.attribute.clone())))
}

/// `y = the running sum of x along an axis`, `dx = the running sum of dy from the other end`.
///
/// <https://onnx.ai/onnx/operators/onnx__CumSum.html>, opset 11 on.
pub fn cumulative_sum(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Ok(None);
    }
    let grad = vjp.grad()?;
    let attributes = vec![
        Attribute::from_int("exclusive", vjp.node.int("exclusive").unwrap_or(0)),
        Attribute::from_int("reverse", 1 - vjp.node.int("reverse").unwrap_or(0)),
    ];
    Ok(Some(vjp.emit("CumSum", &[&grad, vjp.input_name(1)?], attributes)))
}
