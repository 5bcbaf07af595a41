//! Element-wise arithmetic with broadcasting
//! (<https://github.com/onnx/onnx/blob/main/docs/Broadcasting.md>), opset 7 on.

use crate::error::Result;
use crate::grad::Vjp;

/// `y = a + b`, `da = db = dy`. <https://onnx.ai/onnx/operators/onnx__Add.html>
pub fn add(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    vjp.unbroadcast(grad).map(Some)
}

/// `y = a - b`, `da = dy`, `db = -dy`. <https://onnx.ai/onnx/operators/onnx__Sub.html>
pub fn sub(vjp: &mut Vjp) -> Result<Option<String>> {
    let mut grad = vjp.grad()?;
    if vjp.input == 1 {
        grad = vjp.emit("Neg", &[&grad], vec![]);
    }
    vjp.unbroadcast(grad).map(Some)
}

/// `y = a b`, `da = dy b`, `db = dy a`. <https://onnx.ai/onnx/operators/onnx__Mul.html>
pub fn mul(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let other = vjp.input_name(1 - vjp.input)?;
    let grad = vjp.emit("Mul", &[&grad, other], vec![]);
    vjp.unbroadcast(grad).map(Some)
}
