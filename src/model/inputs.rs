//! The inputs of a model: the picture, and what exporters of detectors add to it.

use super::manifest::InputSpec;
use super::words::takes_words;
use crate::error::Result;
use crate::grad::{CLASS_INDEX, Detection};
use crate::onnx::proto::{Node, Tensor, ValueInfo};
use crate::onnx::{DataType, OnnxModel};

/// The only input of a model that is a picture.
///
/// # Errors
/// The model has no input, or several.
pub fn image_input(model: &OnnxModel) -> Result<&ValueInfo> {
    let ours = [CLASS_INDEX, Detection::INDEX];
    let inputs = model.graph().true_inputs().filter(|i| !ours.contains(&i.name()) && fed(i.name()).is_none());
    let inputs: Vec<&ValueInfo> = inputs.collect();
    match inputs.as_slice() {
        [only] => Ok(only),
        [] => Err(model.error("it has no input; whycam explains models of one picture")),
        several => {
            let names: Vec<&str> = several.iter().map(|input| input.name()).collect();
            let problem = format!("it has {} inputs ({})", names.len(), names.join(", "));
            let words = if takes_words(model) { "--words \"A,B\" gives it words, and " } else { "" };
            let remedy = "--feed NAME=NUMBER or NAME=FILE.npy gives any other input a value";
            Err(model.error(format!("{problem}, but whycam explains models of one picture; {words}{remedy}")))
        }
    }
}

/// A further input that tells a detector the size of the picture, so that its boxes are in pixels.
#[derive(Clone, Copy)]
enum Fed {
    /// RT-DETR and D-FINE: width and height.
    WidthHeight,
    /// `PaddleDetection`: height and width.
    HeightWidth,
    /// `PaddleDetection`: how much the picture was enlarged, down and across.
    Ones,
}

fn fed(input: &str) -> Option<Fed> {
    match input {
        "orig_target_sizes" => Some(Fed::WidthHeight),
        "im_shape" => Some(Fed::HeightWidth),
        "scale_factor" => Some(Fed::Ones),
        _ => None,
    }
}

/// Replaces the inputs that tell the size of the picture by the size of the model's input, so that the boxes are in its
/// pixels. Returns what a user should know of it.
pub fn feed_sizes(model: &mut OnnxModel, spec: &InputSpec) -> Vec<String> {
    let inputs: Vec<(String, Fed, bool)> = model
        .graph()
        .true_inputs()
        .filter_map(|input| Some((input.name().to_owned(), fed(input.name())?, input.kind() == Some(DataType::Int64))))
        .collect();
    let mut notices = Vec::new();
    for (name, fed, integer) in inputs {
        let (width, height) = (spec.width, spec.height);
        let values = match fed {
            Fed::WidthHeight => [width, height],
            Fed::HeightWidth => [height, width],
            Fed::Ones => [1, 1],
        };
        let tensor = if integer {
            Tensor::from_i64s(&name, &[1, 2], &values.map(|value| value as i64))
        } else {
            Tensor::from_f32s(&name, &[1, 2], &values.map(|value| value as f32))
        };
        let graph = model.graph_mut();
        graph.input.retain(|input| input.name() != name);
        graph.initializer.push(tensor);
        notices.push(format!("its input '{name}' is fed {values:?}, so that boxes are in pixels of its input"));
    }
    notices
}

/// Gives a picture input `[C,h,w]` a batch axis of length 1. Returns what a user should know of it.
pub fn add_batch_axis(model: &mut OnnxModel) -> Option<String> {
    let (name, dims) = {
        let input = image_input(model).ok()?;
        let dims = input.dims().filter(|dims| dims.len() == 3 && matches!(dims[0], Some(1 | 3)))?;
        (input.name().to_owned(), dims)
    };
    let inner = format!("model.{name}");
    if model.has_tensor(&inner) {
        return None;
    }
    model.rename_tensor(&name, &inner);
    let graph = model.graph_mut();
    let input = graph.input.iter_mut().find(|input| input.name() == inner)?;
    let kind = input.kind().unwrap_or(DataType::Float);
    let dims: Vec<i64> = std::iter::once(1).chain(dims.iter().map(|dim| dim.unwrap_or(-2))).collect();
    *input = ValueInfo::tensor(&name, kind, &dims);
    let axes = format!("{inner}.axes");
    graph.initializer.push(Tensor::from_i64s(&axes, &[1], &[0]));
    graph.node.insert(0, Node::new("Squeeze", inner.as_str(), &[&name, &axes], &[&inner]));
    Some(format!("its input '{name}' has no batch axis; it is given one of length 1"))
}
