//! Detectors whose outputs have other axes than `[1,A,C]`.

use super::layout::{SIDES, channel_axis};
use super::moves::Moves;
use crate::onnx::proto::{Attribute, Node, Tensor, ValueInfo};
use crate::onnx::{DataType, OnnxModel, Tensors};

/// A model whose outputs are made rows `[1,A,C]`, one for each anchor. Its own outputs are hidden meanwhile.
pub struct InRows {
    pub model: OnnxModel,
    /// The outputs as they were.
    outputs: Vec<ValueInfo>,
    changed: Vec<String>,
}

/// What makes rows of an output.
enum Change {
    /// All axes of length 1 are left out, and these are put in.
    Axes(&'static [i64]),
    /// The last two of three axes change places.
    Transpose,
}

impl InRows {
    /// `None` for a model of several pictures, or one that has no such outputs.
    pub fn of(model: &OnnxModel, tensors: &Tensors) -> Option<Self> {
        let moves = Moves::new(model, tensors);
        let input = model.graph().true_inputs().next()?.name();
        if moves.shape(input).first() != Some(&1) {
            return None;
        }
        let outputs = model.graph().output.clone();
        let mut rows = Self { model: model.clone(), outputs, changed: Vec::new() };
        for output in &model.graph().output {
            if let Some(change) = change_of(model, &moves, output.name()) {
                rows.change(output.name(), moves.shape(output.name()), &change)?;
            }
        }
        (!rows.changed.is_empty()).then_some(rows)
    }

    fn change(&mut self, output: &str, shape: &[usize], change: &Change) -> Option<()> {
        let inner = hidden(output);
        if self.model.has_tensor(&inner) {
            return None;
        }
        self.model.rename_tensor(output, &inner);
        let graph = self.model.graph_mut();
        let name = |what: &str| format!("{inner}.{what}");
        match change {
            Change::Transpose => {
                let order = Attribute::from_ints("perm", &[0, 2, 1]);
                graph.node.push(Node::new("Transpose", name("transposed"), &[&inner], &[output]).with(order));
            }
            Change::Axes(added) => {
                let removed = shape.iter().zip(0..).filter(|(length, _)| **length == 1).map(|(_, axis)| axis);
                let removed: Vec<i64> = removed.collect();
                let [squeezed, from, to] = ["squeezed", "removed", "added"].map(name);
                graph.initializer.push(Tensor::from_i64s(&from, &[removed.len() as i64], &removed));
                graph.initializer.push(Tensor::from_i64s(&to, &[added.len() as i64], added));
                graph.node.push(Node::new("Squeeze", squeezed.as_str(), &[&inner, &from], &[&squeezed]));
                graph.node.push(Node::new("Unsqueeze", name("rows"), &[&squeezed, &to], &[output]));
            }
        }
        if let Some(info) = graph.output.iter_mut().find(|info| info.name() == inner) {
            *info = ValueInfo::untyped(output);
        }
        self.changed.push(output.to_owned());
        Some(())
    }

    /// The model with its own outputs again, after others were added to it.
    pub fn restored(self) -> OnnxModel {
        let Self { mut model, outputs, changed } = self;
        for output in &changed {
            model.rename_tensor(output, &format!("{}.rows", hidden(output)));
            model.rename_tensor(&hidden(output), output);
        }
        model.graph_mut().output = outputs;
        model
    }
}

fn hidden(output: &str) -> String {
    format!("model.{output}")
}

fn change_of(model: &OnnxModel, moves: &Moves, output: &str) -> Option<Change> {
    let shape = moves.shape(output);
    if !moves.tensors.get(output)?.kind.is_none_or(DataType::is_float) {
        return None;
    }
    // Boxes of as many anchors.
    let with_boxes = |anchors: usize| {
        let mut others = model.graph().output.iter().map(|other| core(moves.shape(other.name())));
        others.any(|other| other == [anchors, SIDES] || other == [SIDES, anchors])
    };
    // Scores of as many anchors, which are last.
    let with_scores = |anchors: usize| {
        let mut others = model.graph().output.iter().filter(|other| other.name() != output);
        others.any(|other| matches!(*moves.shape(other.name()), [1, _, last] if last == anchors))
    };
    match (shape, core(shape).as_slice()) {
        ([1, SIDES, anchors], _) if *anchors > SIDES && with_scores(*anchors) => Some(Change::Transpose),
        ([1, _, _], _) => None,
        (_, [anchors, _]) if with_boxes(*anchors) || has_channels(moves, output) => Some(Change::Axes(&[0])),
        (_, [anchors]) if shape != [*anchors, 1, 1] && with_boxes(*anchors) => Some(Change::Axes(&[0, 2])),
        _ => None,
    }
}

/// Whether one of the two axes of an output counts the channels of a layer, which none of a mask does.
fn has_channels(moves: &Moves, output: &str) -> bool {
    let shape = moves.shape(output);
    let long: Vec<usize> = (0..shape.len()).filter(|axis| shape[*axis] != 1).collect();
    matches!(*long, [first, second] if channel_axis(moves, output, [first, second]).is_some())
}

/// The lengths other than 1.
fn core(shape: &[usize]) -> Vec<usize> {
    shape.iter().copied().filter(|length| *length != 1).collect()
}
