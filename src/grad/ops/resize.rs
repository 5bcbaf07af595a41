//! Interpolation.

use crate::error::Result;
use crate::grad::value::Value;
use crate::grad::vjp::{Gradient, Vjp};
use crate::onnx::proto::Attribute;

/// `y = R x` along each axis that changes its length, `dx = Rᵀ dy`. In every mode, `R` is the op applied to the
/// identity matrix.
///
/// <https://onnx.ai/onnx/operators/onnx__Resize.html>, opset 11 on.
pub fn resize(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Ok(None);
    }
    if vjp.node.string("coordinate_transformation_mode") == Some("tf_crop_and_resize") {
        return Err(vjp.unsupported("tf_crop_and_resize"));
    }
    let (x, y) = (vjp.operand_shape(0)?, vjp.y_shape()?);
    let resized: Vec<usize> = (0..x.len()).filter(|&axis| x[axis] != y[axis]).collect();
    // A policy takes one scale for all axes, of which rounded lengths may not be the ratio.
    let kept = vjp.node.string("keep_aspect_ratio_policy").is_some_and(|policy| policy != "stretch");
    if kept && resized.windows(2).any(|pair| x[pair[0]] * y[pair[1]] != x[pair[1]] * y[pair[0]]) {
        return Err(vjp.unsupported("keep_aspect_ratio_policy with lengths that are not in one ratio"));
    }
    let mut dx = vjp.dy()?;
    for axis in resized {
        let matrix = interpolation(vjp, axis, x[axis] as i64, y[axis] as i64)?;
        let mut order: Vec<i64> = (0..x.len() as i64).collect();
        order.swap(axis, x.len() - 1);
        dx = dx.transpose(&order).matmul(matrix).transpose(&order);
    }
    Ok(Some(dx))
}

/// The matrix `[to,from]` of the node's interpolation along one axis.
fn interpolation(vjp: Vjp, axis: usize, from: i64, to: i64) -> Result<Value> {
    let identity: Vec<f32> = (0..from * from).map(|i| if i / from == i % from { 1.0 } else { 0.0 }).collect();
    let identity = vjp.writer.floats(&[1, 1, from, from], &identity);
    let kept = |a: &&Attribute| !matches!(a.name(), "axes" | "keep_aspect_ratio_policy");
    let attributes: Vec<Attribute> = vjp.node.attribute.iter().filter(kept).cloned().collect();
    let omitted = vjp.writer.tensor("");
    let resized = match given_scale(vjp, axis)? {
        Some(scale) => {
            let (ones, one) = (vjp.writer.floats(&[2], &[1.0, 1.0]), vjp.writer.floats(&[1], &[1.0]));
            identity.apply("Resize", &[omitted, ones.concat(&[scale, one], 0)], &attributes)
        }
        None => identity.apply("Resize", &[omitted, omitted, vjp.int64s(&[1, 1, to, from])], &attributes),
    };
    Ok(resized.reshape(&[to, from]))
}

/// The scale `[1]` along an axis, if the node has scales. It may differ from the ratio of the lengths.
fn given_scale(vjp: Vjp, axis: usize) -> Result<Option<Value>> {
    let Ok(scales) = vjp.operand(2) else { return Ok(None) };
    if !vjp.operand_shape(2).is_ok_and(|shape| shape != [0]) {
        return Ok(None);
    }
    let rank = vjp.operand_shape(0)?.len() as i64;
    let listed = vjp.node.ints("axes").and_then(|axes| axes.iter().position(|a| a.rem_euclid(rank) == axis as i64));
    let index = vjp.int64s(&[listed.unwrap_or(axis) as i64]);
    Ok(Some(scales.apply("Gather", &[index], &[])))
}
