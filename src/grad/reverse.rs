//! The reverse walk through the graph.

use std::collections::HashMap;

use super::decomposed_gelu::DecomposedGelus;
use super::decomposed_silu::Silu;
use super::graph_writer::{GraphWriter, Patch};
use super::ops::activation::{gelu_share, gelu_slope};
use super::relevance::varies;
use super::rules::{NOT_DIFFERENTIABLE, Rules};
use super::value::Value;
use super::vjp::Vjp;
use crate::error::{Error, Result};
use crate::onnx::proto::Node;
use crate::onnx::{GraphIndex, OnnxModel, Tensors};

/// Writes the nodes that compute the gradient of `output` with respect to `target`.
///
/// `seed` names a float32 tensor of `output`'s shape, the gradient that the chain rule starts from. Returns the
/// patch for `model` and the name of the gradient, float32 of `target`'s shape.
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
    let writer = GraphWriter::new(model, tensors);
    let given = writer.tensor(seed);
    let gradient = write_backward(&writer, model, rules, output, given, target)?;
    let gradient = gradient.ok_or_else(|| independent(model, output, target))?;
    let name = if gradient.name() == seed { given.apply("Identity", &[], &[]) } else { gradient }.name();
    Ok((writer.into_patch(&[&name]), name))
}

/// Writes the gradient of `output` with respect to `target`, or returns `None` where it is zero for every input.
///
/// # Errors
/// An op between them has no rule in `rules`.
pub fn write_backward<'g>(
    writer: &'g GraphWriter<'g>,
    model: &'g OnnxModel,
    rules: &Rules,
    output: &str,
    seed: Value<'g>,
    target: &str,
) -> Result<Option<Value<'g>>> {
    let graph = GraphIndex::new(model.graph());
    let dependents = graph.dependents(target);
    let ancestors = graph.ancestors(output);
    let gelus = DecomposedGelus::find(&graph, target);
    let depends = |tensor: &str| tensor == target || dependents.contains(tensor);
    let relevance = rules.pass_relevance();
    let mut between = model.graph().node.iter().enumerate().filter(|(index, _)| ancestors.contains(index));
    let infinite = writer.may_be_infinite(between.any(|(_, node)| is_steep(node, depends)));
    let mut contributions: HashMap<&str, Vec<Value>> = HashMap::from([(output, vec![seed])]);

    for (index, node) in model.graph().node.iter().enumerate().rev() {
        if !ancestors.contains(&index) || node.output.iter().any(|o| o == target) {
            continue;
        }
        let inputs: Vec<usize> = (0..node.input.len()).filter(|&i| depends(&node.input[i])).collect();
        let captures = node.captured().into_iter().any(depends);
        if inputs.is_empty() && !captures {
            continue;
        }
        let parts = node.output.iter().map(|o| contributions.remove(o.as_str()));
        let grads: Vec<Option<Value>> = parts.map(|parts| parts.map(|parts| writer.sum(&parts))).collect();
        if grads.iter().all(Option::is_none) {
            continue;
        }
        if let (Some(gelu), [Some(dy)]) = (gelus.ending_at(index), grads.as_slice()) {
            let x = writer.tensor(gelu.x);
            let gradient = *dy * if relevance { gelu_share(x) } else { gelu_slope(x) };
            contributions.entry(gelu.x).or_default().push(gradient);
            continue;
        }
        let silu = if relevance { None } else { Silu::ending_at(&graph, node, target) };
        if let (Some(silu), [Some(dy)]) = (silu, grads.as_slice()) {
            let gradient = *dy * silu.slope(|tensor| writer.tensor(tensor));
            contributions.entry(silu.x).or_default().push(gradient);
            continue;
        }
        if captures {
            return Err(Error::NoGradientRule { op: node.op().to_owned(), node: node.label().to_owned() });
        }
        let rule = rules.find(node)?;
        let varies = |input: &&usize| inputs.len() == 1 || varies(&graph, &node.input[**input], target);
        let variable: Vec<usize> = inputs.iter().filter(|input| relevance && varies(input)).copied().collect();
        for &input in &inputs {
            let (variable, graph, grads) = (&variable, &graph, &grads);
            let vjp = Vjp { node, index, input, variable, target, output, infinite, relevance, graph, grads, writer };
            if let Some(gradient) = rule(vjp)? {
                contributions.entry(&node.input[input]).or_default().push(gradient.kept_by(writer));
            }
        }
    }
    Ok(contributions.remove(target).map(|parts| writer.sum(&parts)))
}

/// Whether the slope of an op may be infinite; or, where a model asks for what is no number, none.
fn is_steep(node: &Node, depends: impl Fn(&str) -> bool) -> bool {
    let depends_on = |input: usize| node.input.get(input).is_some_and(|input| depends(input));
    match node.op() {
        "Sqrt" | "Log" | "Reciprocal" | "Pow" | "ReduceL2" | "ReduceLogSum" | "LpNormalization" | "LpPool"
        | "GlobalLpPool" | "IsNaN" | "IsInf" => depends_on(0),
        "Div" => depends_on(1),
        _ => false,
    }
}

/// The error for an output without a gradient. It names an op in between that lets none pass, if there is one.
pub fn independent(model: &OnnxModel, output: &str, target: &str) -> Error {
    let index = GraphIndex::new(model.graph());
    let (before, after) = (index.ancestors(output), index.dependents(target));
    let nodes = model.graph().node.iter().enumerate();
    let mut between =
        nodes.filter(|(at, node)| before.contains(at) && node.input.iter().any(|i| after.contains(i.as_str())));
    let of_shapes = ["ConstantOfShape", "EyeLike", "Range", "Shape", "Size"];
    let step = between.find(|(_, node)| NOT_DIFFERENTIABLE.contains(&node.op()) && !of_shapes.contains(&node.op()));
    match step {
        Some((_, node)) => Error::Rule {
            op: node.op().to_owned(),
            node: node.label().to_owned(),
            problem: format!("its gradient is zero, so that {output} has none by the layer {target}"),
        },
        None => model.error(format!("{output} does not depend on the layer {target}; choose another layer")),
    }
}
