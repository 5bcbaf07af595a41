//! Finding the logits and the target layer.

use super::Shapes;
use crate::error::{Error, Result};
use crate::onnx::proto::Node;
use crate::onnx::{GraphIndex, OnnxModel};

/// Ops that may follow the logits and say nothing about them that the gradient needs. A gradient
/// taken behind a confident softmax is almost zero, so they are walked past.
const TRAILING: &[&str] = &["ArgMax", "Cast", "Identity", "LogSoftmax", "Sigmoid", "Softmax"];

/// Ops behind which the target layer is not moved: they lose place or add nothing to see.
const POOLING: &[&str] = &["AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool", "MaxPool"];
const TRANSPARENT: &[&str] = &["Cast", "Dropout", "Identity"];
const ACTIVATIONS: &[&str] =
    &["Clip", "Elu", "Gelu", "HardSwish", "LeakyRelu", "Mish", "PRelu", "Relu", "Selu", "Sigmoid", "Softplus", "Tanh"];

/// How logits become probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probability {
    Softmax,
    /// Each class on its own, for a model that ends in a sigmoid.
    Sigmoid,
}

/// Where a classifier gives its answer.
#[derive(Clone, Debug)]
pub struct Head {
    /// The tensor of logits, `[N,K]`.
    pub logits: String,
    pub classes: usize,
    pub probability: Probability,
}

/// A tensor that a map can be drawn from.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub tensor: String,
    pub node: String,
    pub op: String,
    /// `[N,C,h,w]`.
    pub shape: Vec<usize>,
}

#[derive(Clone, Debug)]
pub struct Target {
    pub layer: Candidate,
    /// Why it was chosen.
    pub reason: String,
}

/// Finds the logits: the model's output, or what stands before its trailing softmax.
///
/// # Errors
/// No output is of the form `[N,K]`.
pub fn find_head(model: &OnnxModel, shapes: &Shapes) -> Result<Head> {
    let index = GraphIndex::new(model.graph());
    let scores = |tensor: &str| shapes.get(tensor).filter(|s| s.len() == 2 && s[1] > 1).map(|s| s[1]);
    for output in &model.graph().output {
        let mut tensor = output.name();
        let mut probability = Probability::Softmax;
        while let Some(node) = index.producer_node(tensor).filter(|n| TRAILING.contains(&n.op())) {
            if node.op() == "Sigmoid" {
                probability = Probability::Sigmoid;
            }
            tensor = node.input.first().map_or("", String::as_str);
        }
        if let Some(classes) = scores(tensor) {
            return Ok(Head { logits: tensor.to_owned(), classes, probability });
        }
    }
    Err(model.error("no output has the form [N,classes]; whycam explains image classifiers"))
}

/// All tensors between input and logits that have a spatial extent above 1x1, first to last.
pub fn list_candidates(model: &OnnxModel, shapes: &Shapes, head: &Head) -> Vec<Candidate> {
    let index = GraphIndex::new(model.graph());
    let ancestors = index.ancestors(&head.logits);
    let Some(input) = model.graph().true_inputs().next() else { return Vec::new() };
    let dependents = index.dependents(input.name());
    let candidate = |node: &Node| {
        let tensor = node.output.first().filter(|t| dependents.contains(t.as_str()))?;
        let shape = shapes.get(tensor).filter(|s| is_spatial(s))?;
        Some(Candidate {
            tensor: tensor.clone(),
            node: node.label().to_owned(),
            op: node.op().to_owned(),
            shape: shape.clone(),
        })
    };
    let nodes = model.graph().node.iter().enumerate();
    nodes.filter(|(place, _)| ancestors.contains(place)).filter_map(|(_, node)| candidate(node)).collect()
}

/// Whether a shape is `[N,C,h,w]` with more than one place; `[N,1,1,C]` is a pooled vector.
fn is_spatial(shape: &[usize]) -> bool {
    matches!(*shape, [_, c, h, w] if h * w > 1 && (c > 1 || h > 1))
}

/// Chooses the target layer: the one asked for, or the last activation before trailing pooling.
///
/// `layer` is a tensor or node name, a unique part of one, or a negative number counted from the
/// last candidate.
///
/// # Errors
/// Nothing, or more than one layer, answers to `layer`; or the model has no spatial layer.
pub fn find_target(model: &OnnxModel, shapes: &Shapes, head: &Head, layer: Option<&str>) -> Result<Target> {
    let mut candidates = list_candidates(model, shapes, head);
    if candidates.is_empty() {
        return Err(model.error("it has no layer with a spatial extent between input and logits"));
    }
    if let Some(name) = layer {
        let at = named(&candidates, name)?;
        return Ok(Target { layer: candidates.swap_remove(at), reason: "asked for by --layer".into() });
    }
    let index = GraphIndex::new(model.graph());
    if let Some(node) = find_attention(model, &index, head) {
        return Err(model.error(format!(
            "it uses attention (node {}), for which whycam knows no default layer yet; name one of the form [N,C,h,w] with --layer",
            node.label()
        )));
    }
    let spatial = |tensor: &str| candidates.iter().position(|c| c.tensor == tensor);
    let mut at = candidates.len() - 1;
    let mut reason = "the last spatial layer before the logits";
    while let Some(node) = index.producer_node(&candidates[at].tensor) {
        let before = node.input.first().map_or("", String::as_str);
        let Some(earlier) = spatial(before) else { break };
        if POOLING.contains(&node.op()) {
            reason = "the last activation before trailing pooling";
        } else if node.op() == "BatchNormalization" && ACTIVATIONS.contains(&candidates[earlier].op.as_str()) {
            reason = "the last activation";
        } else if !TRANSPARENT.contains(&node.op()) {
            break;
        }
        at = earlier;
    }
    Ok(Target { layer: candidates.swap_remove(at), reason: reason.into() })
}

/// A product of two tensors that both depend on the picture: queries and keys. What follows it is
/// tokens, whose shapes only look like pictures.
fn find_attention<'m>(model: &'m OnnxModel, index: &GraphIndex<'m>, head: &Head) -> Option<&'m Node> {
    let ancestors = index.ancestors(&head.logits);
    let dependents = index.dependents(model.graph().true_inputs().next()?.name());
    let nodes = model.graph().node.iter().enumerate();
    let products = nodes.filter(|(place, node)| node.op() == "MatMul" && ancestors.contains(place));
    products.map(|(_, node)| node).find(|node| node.input.iter().all(|i| dependents.contains(i.as_str())))
}

fn named(candidates: &[Candidate], name: &str) -> Result<usize> {
    let unknown = |known: String| Error::Unknown { what: "layer", name: name.to_owned(), known };
    if let Ok(number) = name.parse::<i64>()
        && number < 0
    {
        let at = usize::try_from(candidates.len() as i64 + number);
        return at.map_err(|_| unknown(format!("the model has {} candidates, -1 is the last", candidates.len())));
    }
    let exact = |c: &Candidate| c.tensor == name || c.node == name;
    if let Some(at) = candidates.iter().position(exact) {
        return Ok(at);
    }
    let part = |c: &Candidate| c.tensor.contains(name) || c.node.contains(name);
    let found: Vec<usize> = (0..candidates.len()).filter(|&i| part(&candidates[i])).collect();
    match found.as_slice() {
        [only] => Ok(*only),
        [] => Err(unknown("whycam inspect lists the candidates".into())),
        several => {
            let names: Vec<&str> = several.iter().map(|&i| candidates[i].node.as_str()).collect();
            Err(unknown(format!("it is a part of {}", names.join(", "))))
        }
    }
}
