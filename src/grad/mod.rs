//! Reverse-mode differentiation of an ONNX graph, written as ONNX nodes.
//!
//! [`differentiate`] walks the graph backwards from an output to a target tensor and asks each
//! op's rule for a vector-Jacobian product: the gradient of the op's output in, the gradient of
//! one of its inputs out (the scheme of Griewank and Walther, *Evaluating Derivatives*, 2008,
//! chapter 3; the terms are HIPS/autograd's). What the rules emit is a [`Patch`], which
//! [`Patch::apply`] adds to the model. The forward nodes stay as they are.

mod backward;
mod explain;
mod ops;
mod rules;
mod target;

use std::collections::HashMap;

pub use backward::{Backward, Patch, Vjp};
pub use explain::{CLASS_INDEX, Explained, append_cam, explain, reserve_names};
pub use rules::{NOT_DIFFERENTIABLE, RULES, Rule, is_known};
pub use target::{Candidate, Head, Probability, Target, find_head, find_target, list_candidates};

use crate::error::Result;
use crate::onnx::{GraphIndex, OnnxModel};

/// The shape of every tensor of a model for one input size, by tensor name.
pub type Shapes = HashMap<String, Vec<usize>>;

/// Appends to `model` the nodes that compute the gradient of `output` with respect to `target`.
///
/// `seed` names a tensor of `output`'s shape: the gradient that comes in from above. Returns the
/// patch and the name of the gradient, which has `target`'s shape.
///
/// # Errors
/// `output` does not depend on `target`, or an op between them has no rule.
pub fn differentiate(
    model: &OnnxModel,
    shapes: &Shapes,
    output: &str,
    seed: &str,
    target: &str,
) -> Result<(Patch, String)> {
    let index = GraphIndex::new(model.graph());
    let dependents = index.dependents(target);
    let ancestors = index.ancestors(output);
    let mut backward = Backward::new(model, shapes);
    let mut contributions: HashMap<&str, Vec<String>> = HashMap::new();
    contributions.entry(output).or_default().push(seed.to_owned());

    for (place, node) in model.graph().node.iter().enumerate().rev() {
        if !ancestors.contains(&place) || node.output.iter().any(|o| o == target) {
            continue;
        }
        let inputs: Vec<usize> = (0..node.input.len())
            .filter(|&i| node.input[i] == target || dependents.contains(node.input[i].as_str()))
            .collect();
        if inputs.is_empty() {
            continue;
        }
        let grads: Vec<Option<String>> =
            node.output.iter().map(|o| contributions.remove(o.as_str()).map(|parts| backward.sum(parts))).collect();
        if grads.iter().all(Option::is_none) {
            continue;
        }
        let rule = rules::find(node)?;
        for input in inputs {
            let mut vjp = Vjp { node, place, input, grads: &grads, backward: &mut backward };
            if let Some(gradient) = rule(&mut vjp)? {
                contributions.entry(&node.input[input]).or_default().push(gradient);
            }
        }
    }
    let Some(parts) = contributions.remove(target) else {
        return Err(model.error(format!("the logits ({output}) do not depend on the layer {target}; choose another")));
    };
    let gradient = backward.sum(parts);
    Ok((backward.into_patch(), gradient))
}
