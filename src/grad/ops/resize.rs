//! Interpolation.

use crate::error::Result;
use crate::grad::Vjp;
use crate::onnx::proto::Attribute;

/// `y = R x` along each axis that changes its length, `dx = Rᵀ dy`. Whatever the mode, `R` is what the
/// op makes of the identity matrix.
///
/// <https://onnx.ai/onnx/operators/onnx__Resize.html>, opset 11 on.
pub fn resize(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Ok(None);
    }
    if vjp.node.string("coordinate_transformation_mode") == Some("tf_crop_and_resize") {
        return Err(vjp.unsupported("tf_crop_and_resize"));
    }
    let mut grad = vjp.grad()?;
    let (x, y) = (vjp.input_shape(0)?, vjp.output_shape()?);
    for axis in (0..x.len()).filter(|&axis| x[axis] != y[axis]) {
        let matrix = interpolation(vjp, axis, x[axis] as i64, y[axis] as i64)?;
        let mut order: Vec<i64> = (0..x.len() as i64).collect();
        order.swap(axis, x.len() - 1);
        let order = || vec![Attribute::from_ints("perm", &order)];
        let last = vjp.emit("Transpose", &[&grad], order());
        let product = vjp.emit("MatMul", &[&last, &matrix], vec![]);
        grad = vjp.emit("Transpose", &[&product], order());
    }
    Ok(Some(grad))
}

/// The matrix `[to,from]` of the node's interpolation along one axis.
fn interpolation(vjp: &mut Vjp, axis: usize, from: i64, to: i64) -> Result<String> {
    let eye: Vec<f32> = (0..from * from).map(|i| if i / from == i % from { 1.0 } else { 0.0 }).collect();
    let eye = vjp.backward.floats(&[1, 1, from, from], &eye);
    let kept = |a: &&Attribute| !matches!(a.name(), "axes" | "keep_aspect_ratio_policy");
    let attributes: Vec<Attribute> = vjp.node.attribute.iter().filter(kept).cloned().collect();
    // A scale that was given is kept, since it may not be the ratio of the lengths.
    let resized = if let Some(scales) = given_scales(vjp) {
        let listed = vjp.node.ints("axes").map(<[i64]>::to_vec);
        let rank = vjp.input_shape(0)?.len() as i64;
        let place = match &listed {
            Some(axes) => axes.iter().position(|a| a.rem_euclid(rank) == axis as i64).unwrap_or(axis),
            None => axis,
        };
        let place = vjp.backward.int64s(&[place as i64]);
        let scale = vjp.emit("Gather", &[scales, &place], vec![]);
        let ones = vjp.backward.floats(&[2], &[1.0, 1.0]);
        let one = vjp.backward.floats(&[1], &[1.0]);
        let scales = vjp.emit("Concat", &[&ones, &scale, &one], vec![Attribute::from_int("axis", 0)]);
        vjp.emit("Resize", &[&eye, "", &scales], attributes)
    } else {
        let sizes = vjp.backward.int64s(&[1, 1, to, from]);
        vjp.emit("Resize", &[&eye, "", "", &sizes], attributes)
    };
    let shape = vjp.backward.int64s(&[to, from]);
    Ok(vjp.emit("Reshape", &[&resized, &shape], vec![]))
}

/// The input `scales`, where the node is given one with numbers in it.
fn given_scales<'m>(vjp: &Vjp<'_, 'm>) -> Option<&'m str> {
    let scales = vjp.input_name(2).ok()?;
    vjp.backward.shape(scales).is_ok_and(|shape| shape != [0]).then_some(scales)
}
