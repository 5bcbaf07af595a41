//! Reverse-mode differentiation of an ONNX graph, written as ONNX nodes.
//!
//! [`differentiate`] walks the graph backwards from an output to a target tensor and asks each
//! op's rule for a vector-Jacobian product: the gradient of the op's output in, the gradient of
//! one of its inputs out (the scheme of Griewank and Walther, *Evaluating Derivatives*, 2008,
//! chapter 3; the terms are HIPS/autograd's). What the rules emit is a [`Patch`], which
//! [`Patch::apply`] adds to the model. The forward nodes stay as they are.

mod axes;
mod backward;
mod cam;
mod explain;
mod head;
mod ops;
mod rules;
mod tail;
mod target;
mod written_out;

use std::collections::HashMap;

pub use axes::{Place, View};
pub use backward::{Backward, Patch, Vjp};
pub use cam::append_cam;
pub use explain::{
    Ask, CLASS_INDEX, CURVATURE, Explained, MOST_RANKS, Score, explain, explain_curvature, names_of_layer,
    reserve_names,
};
pub use head::{Head, Probability, find_head};
pub use rules::{NOT_DIFFERENTIABLE, RULES, Rule, Rules};
pub use tail::{TAIL_INPUT, Tail, cut_tail, taken};
pub use target::{Candidate, Target, find_target, input_target, list_candidates};
use written_out::WrittenOut;

use crate::error::{Error, Result};
use crate::onnx::{DataType, GraphIndex, OnnxModel};

/// What is known of a tensor for one input size.
#[derive(Clone, Debug)]
pub struct TensorInfo {
    pub shape: Vec<usize>,
    /// The type of its numbers; `None` for one that no classifier has.
    pub kind: Option<DataType>,
    /// The numbers of a short integer tensor. Those of a tensor that depends on the picture are not
    /// to be relied on.
    pub integers: Option<Vec<i64>>,
}

/// What is known of every tensor of a model, by tensor name.
pub type Tensors = HashMap<String, TensorInfo>;

/// Appends to `model` the nodes that compute the gradient of `output` with respect to `target`.
///
/// `seed` names a float32 tensor of `output`'s shape: the gradient that comes in from above. Returns
/// the patch and the name of the gradient, float32 of `target`'s shape.
///
/// # Errors
/// `output` does not depend on `target`, or an op between them has no rule in `rules`.
pub fn differentiate(
    model: &OnnxModel,
    tensors: &Tensors,
    rules: &Rules,
    output: &str,
    seed: &str,
    target: &str,
) -> Result<(Patch, String)> {
    let mut backward = Backward::new(model, tensors);
    let gradient = write_backward(&mut backward, model, rules, output, seed, target)?;
    let mut gradient = gradient.ok_or_else(|| independent(model, output, target))?;
    if gradient == seed {
        gradient = backward.emit("Identity", &[seed], vec![]);
    }
    Ok((backward.into_patch(&[&gradient]), gradient))
}

/// Returns the gradient's name, or `None` where it is zero whatever the input.
fn write_backward<'m>(
    backward: &mut Backward<'m>,
    model: &'m OnnxModel,
    rules: &Rules,
    output: &str,
    seed: &str,
    target: &str,
) -> Result<Option<String>> {
    let index = GraphIndex::new(model.graph());
    let dependents = index.dependents(target);
    let ancestors = index.ancestors(output);
    let written_out = WrittenOut::find(&index, target);
    let depends = |tensor: &str| tensor == target || dependents.contains(tensor);
    let mut contributions: HashMap<&str, Vec<String>> = HashMap::new();
    contributions.entry(output).or_default().push(seed.to_owned());

    for (place, node) in model.graph().node.iter().enumerate().rev() {
        if !ancestors.contains(&place) || node.output.iter().any(|o| o == target) {
            continue;
        }
        let inputs: Vec<usize> = (0..node.input.len()).filter(|&i| depends(&node.input[i])).collect();
        let hidden = node.captured().into_iter().any(depends);
        if inputs.is_empty() && !hidden {
            continue;
        }
        let grads: Vec<Option<String>> =
            node.output.iter().map(|o| contributions.remove(o.as_str()).map(|parts| backward.sum(parts))).collect();
        if grads.iter().all(Option::is_none) {
            continue;
        }
        if let (Some(gelu), [Some(grad)]) = (written_out.ending_at(place), grads.as_slice()) {
            let slope = ops::activation::gelu_slope(backward, gelu.x);
            contributions.entry(gelu.x).or_default().push(backward.emit("Mul", &[grad, &slope], vec![]));
            continue;
        }
        if hidden {
            return Err(Error::NoGradientRule { op: node.op().to_owned(), node: node.label().to_owned() });
        }
        let rule = rules.find(node)?;
        for input in inputs {
            let mut vjp = Vjp { node, place, input, grads: &grads, backward };
            if let Some(gradient) = rule(&mut vjp)? {
                contributions.entry(&node.input[input]).or_default().push(gradient);
            }
        }
    }
    Ok(contributions.remove(target).map(|parts| backward.sum(parts)))
}

fn independent(model: &OnnxModel, output: &str, target: &str) -> Error {
    model.error(format!("{output} does not change with the layer {target}; choose another"))
}
