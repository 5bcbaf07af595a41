//! Element-wise activations.

use crate::error::Result;
use crate::grad::Vjp;

/// `y = max(x, 0)`, `dx = dy where y > 0, else 0`.
///
/// <https://onnx.ai/onnx/operators/onnx__Relu.html>, opset 6 on. The gradient at 0 is 0, as in
/// PyTorch.
pub fn relu(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let zero = vjp.backward.scalar(0.0);
    let active = vjp.emit("Greater", &[vjp.output_name(), &zero], vec![]);
    Ok(Some(vjp.emit("Where", &[&active, &grad, &zero], vec![])))
}

/// `y = 1 / (1 + exp(-x))`, `dx = dy y (1 - y)`.
///
/// <https://onnx.ai/onnx/operators/onnx__Sigmoid.html>, opset 6 on.
pub fn sigmoid(vjp: &mut Vjp) -> Result<Option<String>> {
    let (grad, y) = (vjp.grad()?, vjp.output_name());
    let one = vjp.backward.scalar(1.0);
    let rest = vjp.emit("Sub", &[&one, y], vec![]);
    let slope = vjp.emit("Mul", &[y, &rest], vec![]);
    Ok(Some(vjp.emit("Mul", &[&grad, &slope], vec![])))
}
