//! Ops that move numbers and leave them unchanged.

use crate::error::Result;
use crate::grad::value::Value;
use crate::grad::vjp::{Gradient, Vjp};
use crate::onnx::GraphIndex;
use crate::onnx::proto::{Attribute, Node};

/// `y = x`, `dx = dy`.
///
/// <https://onnx.ai/onnx/operators/onnx__Identity.html>, opset 1 on;
/// <https://onnx.ai/onnx/operators/onnx__Dropout.html>, opset 7 on, inference form.
pub fn identity(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Ok(None);
    }
    let trains = vjp.node.op() == "Dropout"
        && vjp.node.input.get(2).and_then(|name| vjp.graph.constant(name)?.to_i64s()).is_some_and(|mode| mode == [1]);
    if trains {
        return Err(vjp.unsupported("training_mode"));
    }
    vjp.dy().map(Some)
}

/// `y = x in another shape`, `dx = dy in the shape of x`.
///
/// <https://onnx.ai/onnx/operators/onnx__Reshape.html>, opset 5 on;
/// <https://onnx.ai/onnx/operators/onnx__Flatten.html>, opset 1 on;
/// <https://onnx.ai/onnx/operators/onnx__Squeeze.html> and
/// <https://onnx.ai/onnx/operators/onnx__Unsqueeze.html>, opset 13 on.
pub fn reshape(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Ok(None);
    }
    Ok(Some(vjp.dy()?.reshape_like(vjp.x_name())))
}

/// `y = x with its axes in another order`, `dx = dy with the order inverted`.
///
/// <https://onnx.ai/onnx/operators/onnx__Transpose.html>, opset 1 on.
pub fn transpose(vjp: Vjp) -> Gradient {
    let rank = vjp.operand_shape(0)?.len();
    let order = vjp.node.ints("perm").map_or_else(|| (0..rank as i64).rev().collect(), <[i64]>::to_vec);
    let mut inverse = vec![0; rank];
    for (to, &from) in (0..).zip(&order) {
        let Some(from) = usize::try_from(from).ok().filter(|from| *from < rank) else {
            return Err(vjp.error("its perm is out of range"));
        };
        inverse[from] = to;
    }
    Ok(Some(vjp.dy()?.transpose(&inverse)))
}

/// `y = some elements of x`, `dx = dy` added at their positions. The op, applied to the positions of `x` in place
/// of its numbers, gives the position in `x` of each element of `y`.
///
/// <https://onnx.ai/onnx/operators/onnx__Slice.html>, opset 10 on;
/// <https://onnx.ai/onnx/operators/onnx__Gather.html>, opset 1 on;
/// <https://onnx.ai/onnx/operators/onnx__GatherElements.html>, opset 11 on;
/// <https://onnx.ai/onnx/operators/onnx__GatherND.html>, opset 11 on.
pub fn selection(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Ok(None);
    }
    let (zero, one) = (vjp.writer.int64(0), vjp.writer.int64(1));
    let positions = zero.apply("Range", &[vjp.x().size(), one], &[]).reshape_like(vjp.x_name());
    let others: Vec<Value> = vjp.node.input[1..].iter().map(|name| vjp.writer.tensor(name.as_str())).collect();
    let selected = positions.apply(vjp.node.op(), &others, &vjp.node.attribute);
    Ok(Some(scatter(vjp, selected, vjp.dy()?)))
}

/// Zeros in the shape of `x`, with `dy` added at `positions` of the flattened `x`.
pub fn scatter<'g>(vjp: Vjp<'g>, positions: Value<'g>, dy: Value<'g>) -> Value<'g> {
    if vjp.writer.batched_classes
        && let Ok(shape) = vjp.x_shape()
        && shape.len() > 1
    {
        return scatter_classes(vjp, positions, dy, &shape[1..]);
    }
    let zeros = vjp.writer.scalar(0.0).expand(vjp.x().size().reshape(&[-1]));
    scatter_add(zeros, positions.reshape(&[-1]), dy.reshape(&[-1]), 0).reshape_like(vjp.x_name())
}

/// As [`scatter`], for the gradients of several classes of one picture. All classes share the positions.
fn scatter_classes<'g>(vjp: Vjp<'g>, positions: Value<'g>, dy: Value<'g>, shape: &[usize]) -> Value<'g> {
    // Without the classes the first axis has length 1, and the model may have merged it with others: its length is
    // known in dy alone.
    let classes = dy.apply("Shape", &[], &[Attribute::from_int("end", 1)]);
    let rows = dy.reshape(&[0, -1]);
    let positions = positions.reshape(&[1, -1]).expand(rows.shape());
    let size = vjp.int64s(&[shape.iter().product::<usize>() as i64]);
    let zeros = vjp.writer.scalar(0.0).expand(classes.concat(&[size], 0));
    let whole: Vec<i64> = std::iter::once(-1).chain(shape.iter().map(|&d| d as i64)).collect();
    scatter_add(zeros, positions, rows, 1).reshape(&whole)
}

fn scatter_add<'g>(zeros: Value<'g>, positions: Value<'g>, updates: Value<'g>, axis: i64) -> Value<'g> {
    let attributes = [Attribute::from_int("axis", axis), Attribute::from_string("reduction", "add")];
    zeros.apply("ScatterElements", &[positions, updates], &attributes)
}

/// `y = the inputs, one after the other along an axis`, `dx = its part of dy`.
///
/// <https://onnx.ai/onnx/operators/onnx__Concat.html>, opset 4 on.
pub fn concat(vjp: Vjp) -> Gradient {
    let axis = vjp.axis(1, vjp.y_shape()?.len());
    let length = |input: usize| vjp.operand_shape(input).map(|shape| shape[axis as usize] as i64);
    let start = (0..vjp.input).map(length).sum::<Result<i64>>()?;
    Ok(Some(vjp.dy()?.slice(start, start + length(vjp.input)?, axis)))
}

/// `y₁, y₂, … = the parts of x along an axis`, `dx = dy₁, dy₂, …, one after the other`, with zeros for a part that
/// has no gradient.
///
/// <https://onnx.ai/onnx/operators/onnx__Split.html>, opset 13 on.
#[allow(clippy::unnecessary_wraps)]
pub fn split(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Ok(None);
    }
    let parts = vjp.node.output.iter().zip(vjp.grads);
    let parts = parts.map(|(y, dy)| dy.unwrap_or_else(|| vjp.zeros_like(vjp.writer.tensor(y.as_str()))));
    let parts: Vec<Value> = parts.collect();
    Ok(parts.split_first().map(|(first, others)| first.concat(others, vjp.int("axis", 0))))
}

/// `y = x with a margin`, `dx = dy without it`: negative pads cut. In modes that fill the margin with elements of
/// `x`, their gradient goes back to the positions they came from.
///
/// <https://onnx.ai/onnx/operators/onnx__Pad.html>, opset 11 on.
pub fn pad(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Ok(None);
    }
    if vjp.node.string("mode").is_some_and(|mode| mode != "constant") {
        return selection(vjp);
    }
    if let Some(pads) = spatial_pads(vjp.graph, vjp.node)
        && let Some(dx) = vjp.writer.cropped(vjp.dy()?, &pads)
    {
        return Ok(Some(dx));
    }
    let (dy, cut) = (vjp.dy()?, -vjp.operand(1)?);
    Ok(Some(match vjp.operand(3) {
        Ok(axes) => dy.apply("Pad", &[cut, vjp.writer.tensor(""), axes], &[]),
        Err(_) => dy.apply("Pad", &[cut], &[]),
    }))
}

/// The pads of a `Pad` that adds constants, those at the beginning first, if they are constant, along spatial axes alone, and
/// cut nothing.
pub fn spatial_pads(graph: &GraphIndex, node: &Node) -> Option<Vec<i64>> {
    let of_all_axes = node.input.len() < 4 && node.string("mode").is_none_or(|mode| mode == "constant");
    let pads = node.input.get(1).filter(|_| of_all_axes).and_then(|pads| graph.constant(pads))?.to_i64s()?;
    if pads.iter().any(|&pad| pad < 0) {
        return None;
    }
    let (begin, end) = pads.split_at_checked(pads.len() / 2).filter(|(begin, end)| begin.len() == end.len())?;
    let ([0, 0, begin @ ..], [0, 0, end @ ..]) = (begin, end) else { return None };
    Some([begin, end].concat())
}

/// `y = channels moved into spatial blocks`, `dx = dy moved back`.
///
/// <https://onnx.ai/onnx/operators/onnx__DepthToSpace.html>, opset 11 on. `x` is `[N,C,h,w]`.
pub fn depth_to_space(vjp: Vjp) -> Gradient {
    let [_, c, h, w] = *vjp.operand_shape(0)? else { return Err(vjp.unsupported("tensors that are not [N,C,h,w]")) };
    let (c, h, w, block) = (c as i64, h as i64, w as i64, vjp.int("blocksize", 1));
    let order: &[i64] = if vjp.node.string("mode") == Some("CRD") { &[0, 1, 3, 5, 2, 4] } else { &[0, 3, 5, 1, 2, 4] };
    let blocks = vjp.dy()?.reshape(&[-1, c / (block * block), h, block, w, block]);
    Ok(Some(blocks.transpose(order).reshape_like(vjp.x_name())))
}

/// `y = spatial blocks moved into channels`, `dx = dy moved back`.
///
/// <https://onnx.ai/onnx/operators/onnx__SpaceToDepth.html>, opset 1 on. `x` is `[N,C,h,w]`.
pub fn space_to_depth(vjp: Vjp) -> Gradient {
    let block = Attribute::from_int("blocksize", vjp.int("blocksize", 1));
    Ok(Some(vjp.dy()?.apply("DepthToSpace", &[], &[block])))
}

/// `y = data with updates at some positions`: `d data = dy`, zero at those positions unless the updates are added;
/// `d updates = dy` at those positions.
///
/// <https://onnx.ai/onnx/operators/onnx__ScatterND.html>, opset 11 on;
/// <https://onnx.ai/onnx/operators/onnx__ScatterElements.html>, opset 11 on.
pub fn scatter_updates(vjp: Vjp) -> Gradient {
    let added = match vjp.node.string("reduction").unwrap_or("none") {
        "none" => false,
        "add" => true,
        _ => return Err(vjp.unsupported("a reduction other than add")),
    };
    let (op, dy, positions) = (vjp.node.op(), vjp.dy()?, vjp.operand(1)?);
    let axis: Vec<Attribute> = vjp.node.attribute("axis").cloned().into_iter().collect();
    Ok(match vjp.input {
        0 if added => Some(dy),
        // Where several classes are explained at once, the positions are those of each.
        0 if vjp.writer.batched_classes => {
            let ones = vjp.zeros_like(vjp.operand(0)?) + 1.0;
            let kept = ones.apply(op, &[positions, vjp.zeros_like(vjp.operand(2)?)], &axis);
            Some(vjp.masked(dy, kept.greater(0.0)))
        }
        0 => Some(dy.apply(op, &[positions, vjp.zeros_like(vjp.operand(2)?)], &axis)),
        2 if vjp.writer.batched_classes => return Err(vjp.unsupported("several classes of one run; name one class")),
        2 => Some(dy.apply(if op == "ScatterND" { "GatherND" } else { "GatherElements" }, &[positions], &axis)),
        _ => None,
    })
}

/// `y = the k largest (or smallest) numbers along an axis`, `dx = dy` at their positions.
///
/// <https://onnx.ai/onnx/operators/onnx__TopK.html>, opset 10 on.
pub fn top_k(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Ok(None);
    }
    let positions = vjp.writer.extra_output(vjp.index, 1);
    let axis = Attribute::from_int("axis", vjp.int("axis", -1));
    Ok(Some(vjp.zeros_like(vjp.x()).apply("ScatterElements", &[positions, vjp.dy()?], &[axis])))
}

/// `y = x in one triangle, else 0`, `dx = dy` there, else 0.
///
/// <https://onnx.ai/onnx/operators/onnx__Trilu.html>, opset 14 on.
pub fn triangle(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Ok(None);
    }
    let diagonal: Vec<Value> = vjp.node.input.get(1).map(|name| vjp.writer.tensor(name.as_str())).into_iter().collect();
    Ok(Some(vjp.dy()?.apply("Trilu", &diagonal, &vjp.node.attribute)))
}

/// `y = the running sum of x along an axis`, `dx = the running sum of dy from the other end`.
///
/// <https://onnx.ai/onnx/operators/onnx__CumSum.html>, opset 11 on.
pub fn cumulative_sum(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Ok(None);
    }
    let attributes = [
        Attribute::from_int("exclusive", vjp.int("exclusive", 0)),
        Attribute::from_int("reverse", 1 - vjp.int("reverse", 0)),
    ];
    Ok(Some(vjp.dy()?.apply("CumSum", &[vjp.operand(1)?], &attributes)))
}
