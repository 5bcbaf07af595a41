//! Choosing the target layer.

use super::candidate::{Candidate, Reason, Target};
use super::detector_layers::DetectorPart;
use super::layer_name::LayerName;
use super::layers::Layers;
use crate::error::{Error, Result};
use crate::grad::axes::Axes;
use crate::grad::rules::OpKind;
use crate::grad::task::Task;
use crate::onnx::{OnnxModel, Tensors};

/// All tensors between input and scores that hold a map of more than one cell, first to last.
///
/// `channels_last` means that the input is `[N,h,w,C]`.
pub fn list_candidates(model: &OnnxModel, tensors: &Tensors, task: &Task, channels_last: bool) -> Vec<Candidate> {
    Layers::new(model, tensors, task.tensor(), channels_last).map_or_else(Vec::new, |layers| layers.candidates)
}

/// Whether the tokens of a tensor are preceded by one that stands for the whole picture.
pub fn has_class_token(model: &OnnxModel, tensors: &Tensors, tokens: &str, channels_last: bool) -> bool {
    let input = model.graph().true_inputs().next().map_or("", |input| input.name());
    let layout = Axes::trace(model, tensors, input, channels_last).layout(tokens);
    layout.is_some_and(|layout| layout.prefix > Some(0))
}

/// Chooses the target layer: the named one, or the default.
///
/// The default is the last activation before trailing pooling; where the logits see only a class token, it is the last
/// norm before the last attention.
///
/// # Errors
/// No layer, or more than one, has that name; or the model has no layer with rows and columns.
pub fn find_target(
    model: &OnnxModel,
    tensors: &Tensors,
    task: &Task,
    channels_last: bool,
    name: Option<&LayerName>,
) -> Result<Target> {
    let layers = Layers::new(model, tensors, task.tensor(), channels_last);
    let Some(layers) = layers.filter(|layers| !layers.candidates.is_empty()) else {
        return Err(model.error(
            "it has no layer with rows and columns between input and scores; whycam explains models of pictures",
        ));
    };
    let (at, reason) = match name {
        Some(name) => (layers.named(name, tensors)?, Reason::Named),
        None if task.as_segmentation().is_some() => layers.before_enlarging(),
        None => layers.default_layer(),
    };
    if name.is_none() && layers.candidates[at].depth == 0 {
        return Err(model.error("rows and columns cannot be traced past its first weights; name a layer [N,C,h,w]"));
    }
    Ok(Target { layer: layers.candidates[at].clone(), reason, through: None })
}

/// The target layers that make a part of a detector, fine to coarse.
///
/// # Errors
/// The model has no layer with rows and columns.
pub fn find_detector_targets(
    model: &OnnxModel,
    tensors: &Tensors,
    task: &Task,
    channels_last: bool,
    part: DetectorPart,
) -> Result<Vec<Target>> {
    let layers = Layers::new(model, tensors, task.tensor(), channels_last);
    let Some(layers) = layers.filter(|layers| !layers.candidates.is_empty()) else {
        return Err(model.error("it has no layer with rows and columns between input and logits"));
    };
    let found = layers.of_part(part, tensors).into_iter();
    let target = |(at, reason, through): (usize, Reason, Option<&str>)| Target {
        layer: layers.candidates[at].clone(),
        reason,
        through: through.map(str::to_owned),
    };
    Ok(found.map(target).collect())
}

/// The model's input as the target, for methods that attribute to pixels.
///
/// # Errors
/// The input is not a picture of more than one pixel.
pub fn input_target(model: &OnnxModel, tensors: &Tensors, channels_last: bool) -> Result<Target> {
    let input = model.graph().true_inputs().next().map_or("", |input| input.name());
    let layout = Axes::trace(model, tensors, input, channels_last).layout(input);
    let (Some(layout), Some(info)) = (layout, tensors.get(input)) else {
        return Err(model.error(format!("its input {input} is no picture")));
    };
    let layer = Candidate {
        tensor: input.to_owned(),
        node: input.to_owned(),
        op: "input".into(),
        kind: OpKind::Other,
        shape: info.shape.clone(),
        layout,
        depth: 0,
    };
    Ok(Target { layer, reason: Reason::Input, through: None })
}

impl Layers<'_> {
    /// The position of the candidate that a caller names.
    fn named(&self, name: &LayerName, tensors: &Tensors) -> Result<usize> {
        let candidates = &self.candidates;
        let unknown = |known: String| Error::Unknown { what: "layer", name: name.to_string(), known };
        let name = match name {
            LayerName::Named(name) => name,
            LayerName::FromEnd(number) => {
                let at = candidates.len().checked_sub(*number);
                return at
                    .ok_or_else(|| unknown(format!("the model has {} candidates, -1 is the last", candidates.len())));
            }
        };
        if let Some(at) = candidates.iter().position(|c| c.tensor == *name || c.node == *name) {
            return Ok(at);
        }
        if let Some(info) = tensors.get(name) {
            let shape = &info.shape;
            let problem = format!("layer {name} {shape:?} holds no map of rows and columns between input and logits");
            return Err(self.model.error(format!("{problem}; `whycam inspect` lists the layers that do")));
        }
        let part = |c: &Candidate| c.tensor.contains(name.as_str()) || c.node.contains(name.as_str());
        let found: Vec<usize> = (0..candidates.len()).filter(|&at| part(&candidates[at])).collect();
        match found.as_slice() {
            [only] => Ok(*only),
            [] => Err(unknown("`whycam inspect` lists the candidates".into())),
            [first, second, ..] => {
                let [first, second] = [first, second].map(|&at| candidates[at].tensor.as_str());
                let count = found.len();
                Err(unknown(format!("it is part of {count} layers, such as {first} and {second}; give a longer name")))
            }
        }
    }
}
