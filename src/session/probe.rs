//! The shape and type of every tensor of a model, found by running it.

use std::collections::HashSet;

use ndarray::ArrayD;
use ort::session::builder::GraphOptimizationLevel;

use super::device::Compute;
use super::model_session::{Input, Session};
use super::reader::TensorReader;
use crate::error::Result;
use crate::files::limits;
use crate::onnx::proto::{Tensor, ValueInfo};
use crate::onnx::{DataType, GraphIndex, OnnxModel, TensorInfo, Tensors};

/// Finds the shape and type of every tensor of `model` by one run on zeros of the given input shapes, with all tensors
/// as outputs. `If` nodes whose condition depends on shapes alone are replaced by the branch taken.
///
/// # Errors
/// The runtime rejects the model.
pub fn probe(model: &mut OnnxModel, inputs: &[(&str, Vec<usize>)]) -> Result<Tensors> {
    while let Some((index, condition)) = decided_branch(model, inputs)? {
        model.inline_branch(index, condition)?;
    }
    let produced: Vec<String> =
        model.graph().node.iter().flat_map(|n| n.output.iter()).filter(|o| !o.is_empty()).cloned().collect();
    let mut tensors = run_on_zeros(model, inputs, &produced)?;
    for tensor in &model.graph().initializer {
        /// More values than any list of axes, sizes, pads or zero points has.
        const FEW: i64 = 4096;
        let few = tensor.dims.iter().product::<i64>() <= FEW;
        let integers = if few { tensor.to_i64s() } else { None };
        let shape = tensor.dims.iter().map(|&d| usize::try_from(d).unwrap_or(0)).collect();
        let kind = DataType::from_number(tensor.data_type());
        tensors.insert(tensor.name().to_owned(), TensorInfo { shape, kind, integers });
    }
    for info in &model.graph().input {
        if let Some((name, shape)) = inputs.iter().find(|(name, _)| *name == info.name()) {
            tensors.insert((*name).to_owned(), TensorInfo { shape: shape.clone(), kind: info.kind(), integers: None });
        }
    }
    Ok(tensors)
}

/// The value of a tensor of floats in one run of `model` on noise, evenly spread over 0..1.
///
/// # Errors
/// The runtime rejects the model, or the tensor has another type.
pub fn sample(model: &OnnxModel, input: &str, shape: &[usize], tensor: &str) -> Result<ArrayD<f32>> {
    let mut model = model.clone();
    model.take_float32(input);
    let mut state = 1_u32;
    let noise = ArrayD::from_shape_simple_fn(shape, || {
        // Numerical Recipes' generator: any noise serves.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    });
    TensorReader::quick(&model, tensor)?.read(vec![(input, Input::Float(noise.view()))])
}

/// The index of the first `If` node whose condition does not depend on the values of any input, and the condition.
fn decided_branch(model: &OnnxModel, inputs: &[(&str, Vec<usize>)]) -> Result<Option<(usize, bool)>> {
    let graph = GraphIndex::new(model.graph());
    let decided = |condition: &str| inputs.iter().all(|(input, _)| !graph.depends_on_values(condition, input));
    let branches = model.graph().node.iter().enumerate().filter(|(_, node)| node.is_standard() && node.op() == "If");
    for (index, node) in branches {
        let Some(condition) = node.input.first().filter(|condition| decided(condition)) else { continue };
        let constant = graph.constant(condition).and_then(Tensor::to_i64s);
        let value = match constant {
            Some(value) => Some(value),
            None => {
                run_on_zeros(model, inputs, std::slice::from_ref(condition))?.remove(condition).and_then(|t| t.integers)
            }
        };
        if let Some(value) = value.and_then(|values| values.first().copied()) {
            return Ok(Some((index, value != 0)));
        }
    }
    Ok(None)
}

fn run_on_zeros(model: &OnnxModel, inputs: &[(&str, Vec<usize>)], wanted: &[String]) -> Result<Tensors> {
    let mut probe = model.clone();
    let mut filled: Vec<(&str, Zeros)> = Vec::new();
    for (name, shape) in inputs {
        if !limits::fits(shape) {
            let problem = format!("its input {name} {shape:?} holds more numbers than whycam takes");
            return Err(model.error(format!("{problem}; export it with a smaller one")));
        }
        let kind = model.graph().input.iter().find(|i| i.name() == *name).and_then(ValueInfo::kind);
        filled.push((
            name,
            if kind == Some(DataType::Int64) {
                Zeros::Int64(ArrayD::zeros(shape.as_slice()))
            } else {
                probe.take_float32(name);
                Zeros::Float(ArrayD::zeros(shape.as_slice()))
            },
        ));
    }
    let outputs = &mut probe.graph_mut().output;
    let known: HashSet<String> = outputs.iter().map(|o| o.name().to_owned()).collect();
    outputs.extend(wanted.iter().filter(|tensor| !known.contains(*tensor)).map(|tensor| ValueInfo::untyped(tensor)));
    let mut session = Session::load(&probe, Compute::default(), GraphOptimizationLevel::Disable, None)?;
    let views = filled.iter().map(|(name, zeros)| match zeros {
        Zeros::Float(array) => (*name, Input::Float(array.view())),
        Zeros::Int64(array) => (*name, Input::Int64(array.view())),
    });
    let outputs = session.run(views.collect())?;
    Ok(wanted.iter().filter_map(|name| Some((name.clone(), outputs.info(name)?))).collect())
}

enum Zeros {
    Float(ArrayD<f32>),
    Int64(ArrayD<i64>),
}
