//! Ops that move numbers and do not change them.

use crate::error::Result;
use crate::grad::Vjp;
use crate::onnx::proto::Attribute;

/// `y = x`, `dx = dy`.
///
/// <https://onnx.ai/onnx/operators/onnx__Identity.html>, opset 1 on;
/// <https://onnx.ai/onnx/operators/onnx__Dropout.html>, opset 7 on, inference form.
pub fn identity(vjp: &mut Vjp) -> Result<Option<String>> {
    vjp.grad().map(Some)
}

/// `y = x in another shape`, `dx = dy in the shape of x`.
///
/// <https://onnx.ai/onnx/operators/onnx__Reshape.html>, opset 5 on;
/// <https://onnx.ai/onnx/operators/onnx__Flatten.html>, opset 1 on;
/// <https://onnx.ai/onnx/operators/onnx__Squeeze.html> and
/// <https://onnx.ai/onnx/operators/onnx__Unsqueeze.html>, opset 13 on.
pub fn reshape(vjp: &mut Vjp) -> Result<Option<String>> {
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
