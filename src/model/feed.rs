//! What inputs other than the picture are given: they become constants of the graph.

use ndarray::ArrayD;

use super::options::{Feed, FeedValue};
use crate::error::{Error, Result};
use crate::files::{limits, read_npy};
use crate::onnx::proto::{Attribute, Node, Tensor, ValueInfo};
use crate::onnx::{DataType, OnnxModel};

/// Replaces inputs by constants.
///
/// # Errors
/// The model has no such input, or the value does not go with it.
pub fn feed(model: &mut OnnxModel, feeds: &[Feed]) -> Result<()> {
    for Feed { input, value } in feeds {
        let Some(info) = model.graph().true_inputs().find(|info| info.name() == input).cloned() else {
            let inputs: Vec<&str> = model.graph().true_inputs().map(ValueInfo::name).collect();
            let known = format!("the model has {}", inputs.join(", "));
            return Err(Error::Unknown { what: "input", name: input.clone(), known });
        };
        let dims = info.dims().unwrap_or_default();
        let value = match value {
            FeedValue::Number(number) => {
                let shape: Vec<usize> = dims.iter().map(|dim| dim.map_or(1, |dim| dim.max(0) as usize)).collect();
                if !limits::fits(&shape) {
                    return Err(model.error(format!("its input {input} {shape:?} is too large to be fed")));
                }
                ArrayD::from_elem(shape, *number)
            }
            FeedValue::File(path) => read_npy(path)?,
        };
        let shape = value.shape();
        let fits = shape.len() == dims.len() && shape.iter().zip(&dims).all(|(a, b)| b.is_none_or(|b| b == *a as i64));
        if !(fits || info.dims().is_none()) {
            return Err(model.error(format!("its input {input} is [{}], but {shape:?} is fed", info.dims_text())));
        }
        set_constant(model, input, info.kind().unwrap_or(DataType::Float), &value);
    }
    Ok(())
}

/// Makes an input a constant of this type.
pub fn set_constant(model: &mut OnnxModel, input: &str, kind: DataType, value: &ArrayD<f64>) {
    let dims: Vec<i64> = value.shape().iter().map(|&length| length as i64).collect();
    let graph = model.graph_mut();
    graph.input.retain(|info| info.name() != input);
    match kind {
        DataType::Float => {
            let values: Vec<f32> = value.iter().map(|value| *value as f32).collect();
            graph.initializer.push(Tensor::from_f32s(input, &dims, &values));
        }
        DataType::Int64 => {
            let values: Vec<i64> = value.iter().map(|value| *value as i64).collect();
            graph.initializer.push(Tensor::from_i64s(input, &dims, &values));
        }
        kind => {
            let given = format!("whycam.fed.{input}");
            graph.initializer.push(Tensor::from_f64s(&given, &dims, &value.iter().copied().collect::<Vec<_>>()));
            let cast = Node::new("Cast", given.clone(), &[&given], &[input]);
            graph.node.insert(0, cast.with(Attribute::from_int("to", kind as i64)));
        }
    }
}
