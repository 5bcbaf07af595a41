//! What tells that numbers are the scores of classes.

use std::collections::HashSet;

use super::outputs::Outputs;
use crate::onnx::GraphIndex;

/// What tells that an output holds the scores of classes, from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// Its name or the ops before it say that it holds something else.
    Against,
    /// It comes from a layer with weights or from pooling, without an activation that bounds it.
    Linear,
    /// Its name says so.
    Named,
    /// It ends in a softmax, in a sigmoid, or in the index of the largest.
    Probability,
}

/// How an output ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Bare,
    /// Boxes and masks may end so, too.
    Sigmoid,
    /// In a softmax or in the index of the largest.
    Choice,
}

/// Words in the names of outputs that hold the scores of classes.
const CLASSES: &[&str] = &[
    "class",
    "classes",
    "classification",
    "classlabel",
    "cls",
    "label",
    "labels",
    "logit",
    "logits",
    "prob",
    "probabilities",
    "probability",
    "probs",
    "score",
    "scores",
    "softmax",
];
/// Words in the names of outputs that hold boxes, masks and the like.
const OTHERS: &[&str] =
    &["anchor", "anchors", "bbox", "bboxes", "box", "boxes", "loc", "location", "locations", "mask", "masks"];
/// Words in the names of outputs that hold a vector to compare.
const EMBEDDINGS: &[&str] = &[
    "descriptor",
    "embed",
    "embedding",
    "embeddings",
    "embeds",
    "feat",
    "feats",
    "feature",
    "features",
    "pooler",
    "reid",
];
/// Words in the names of outputs that hold quantities.
const VALUES: &[&str] = &[
    "age",
    "angle",
    "angles",
    "depth",
    "euler",
    "headpose",
    "keypoint",
    "keypoints",
    "kps",
    "kpt",
    "kpts",
    "landmark",
    "landmarks",
    "lmk",
    "lmks",
    "offset",
    "offsets",
    "pitch",
    "point",
    "points",
    "pose",
    "quality",
    "quaternion",
    "regression",
    "roll",
    "rotation",
    "value",
    "values",
    "yaw",
];

/// The lengths that embeddings usually have, and class scores hardly ever.
const EMBEDDING_LENGTHS: &[usize] = &[128, 192, 256, 384, 512, 768, 1024, 1152, 1280, 1408, 1536, 2048, 4096];
/// Two or three coordinates of each of the points of usual sets of landmarks: 68, 98, 106, 468 and 478.
const LANDMARKS: &[usize] = &[136, 196, 204, 212, 318, 936, 956, 1404, 1434];

/// What a row of numbers is that holds no scores of classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// A vector that is compared with others.
    Embedding,
    /// Quantities.
    Value,
}

impl Meaning {
    pub fn noun(self) -> &'static str {
        match self {
            Self::Embedding => "an embedding",
            Self::Value => "a value",
        }
    }

    /// Why numbers of an output are taken for this.
    pub fn reason(self, output: &str, count: usize) -> &'static str {
        let words = if self == Self::Embedding { EMBEDDINGS } else { VALUES };
        match self {
            Self::Value if count == 1 => "it is one number, and no probability",
            _ if has_word(output, words) => "its name says so",
            Self::Embedding if EMBEDDING_LENGTHS.contains(&count) => "its length is that of an embedding",
            Self::Embedding => "it is divided by its length",
            Self::Value if LANDMARKS.contains(&count) => "it has as many numbers as sets of landmarks have",
            Self::Value => "no softmax or sigmoid ends it",
        }
    }
}

/// What the numbers of an output are if they are no scores of classes; `None` where nothing tells.
pub fn meaning_of(outputs: &Outputs, output: &str, count: usize) -> Option<Meaning> {
    let named = is_named_for_classes(output);
    if count == 1 {
        Some(Meaning::Value)
    } else if is_normalised(outputs, output) || has_word(output, EMBEDDINGS) {
        Some(Meaning::Embedding)
    } else if has_word(output, VALUES) {
        Some(Meaning::Value)
    } else if EMBEDDING_LENGTHS.contains(&count) && !named {
        Some(Meaning::Embedding)
    } else if LANDMARKS.contains(&count) && !named {
        Some(Meaning::Value)
    } else {
        None
    }
}

/// Whether a tensor is divided by its own Euclidean length.
pub fn is_normalised(outputs: &Outputs, tensor: &str) -> bool {
    const LONGEST: usize = 8;
    let index = &outputs.index;
    let Some(mut node) = index.producer_node(tensor) else { return false };
    while matches!(node.op(), "Cast" | "Flatten" | "Identity" | "Reshape" | "Squeeze" | "Unsqueeze") {
        let Some(before) = node.input.first().and_then(|input| index.producer_node(input)) else { return false };
        node = before;
    }
    let varying = || node.input.iter().filter(|input| outputs.varying.contains(input.as_str()));
    match node.op() {
        "LpNormalization" => return node.int("p").unwrap_or(2) == 2,
        "Div" | "Mul" if varying().count() == 2 => {}
        _ => return false,
    }
    let is_length = |input: &String| {
        let mut tensor = input.as_str();
        for _ in 0..LONGEST {
            let Some(node) = index.producer_node(tensor) else { return false };
            if matches!(node.op(), "ReduceL2" | "ReduceSumSquare" | "ReduceSum") {
                return true;
            }
            if !matches!(
                node.op(),
                "Add"
                    | "Cast"
                    | "Clip"
                    | "Div"
                    | "Expand"
                    | "Max"
                    | "Pow"
                    | "Reciprocal"
                    | "Reshape"
                    | "Sqrt"
                    | "Unsqueeze"
            ) {
                return false;
            }
            let before = node.input.iter().find(|input| outputs.varying.contains(input.as_str()));
            let Some(before) = before else { return false };
            tensor = before;
        }
        false
    };
    varying().any(is_length)
}

/// The evidence for an output, whose scores before a trailing softmax are `logits`.
pub fn evidence_of(
    index: &GraphIndex,
    varying: &HashSet<&str>,
    output: &str,
    logits: &str,
    ending: Ending,
) -> Evidence {
    /// More than lie between a layer and the end of a net.
    const MOST_NODES: usize = 200;
    if ending == Ending::Choice {
        Evidence::Probability
    } else if [OTHERS, EMBEDDINGS, VALUES].iter().any(|words| has_word(output, words)) && !is_named_for_classes(output)
    {
        Evidence::Against
    } else if ending == Ending::Sigmoid {
        Evidence::Probability
    } else if is_named_for_classes(output) {
        Evidence::Named
    } else if is_linear(index, varying, logits, &mut MOST_NODES.clone()) {
        Evidence::Linear
    } else {
        Evidence::Against
    }
}

/// Whether the name of an output speaks of classes.
pub fn is_named_for_classes(output: &str) -> bool {
    has_word(output, CLASSES)
}

pub fn has_word(name: &str, known: &[&str]) -> bool {
    words(name).iter().any(|word| known.contains(&word.as_str()))
}

/// The words of a name, in lower case: `classLabel_0` has `classlabel` and `class`, `label`.
fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    for run in name.split(|c: char| !c.is_alphabetic()) {
        words.push(run.to_lowercase());
        let mut word = String::new();
        for letter in run.chars() {
            if letter.is_uppercase() && !word.is_empty() {
                words.push(std::mem::take(&mut word).to_lowercase());
            }
            word.push(letter);
        }
        words.push(word.to_lowercase());
    }
    words
}

/// Whether a tensor is made by a layer with weights or by pooling, up to shifts, factors, norms and changes of shape.
/// `varying` holds the tensors that depend on the picture, and `left` how many nodes may still be looked at.
fn is_linear(index: &GraphIndex, varying: &HashSet<&str>, tensor: &str, left: &mut usize) -> bool {
    let Some(node) = index.producer_node(tensor).filter(|_| *left > 0) else { return false };
    *left -= 1;
    let operands = || node.input.iter().filter(|name| varying.contains(name.as_str()) && !is_scale(index, name));
    let linear = |operand: &String| is_linear(index, varying, operand, left);
    match node.op() {
        "AveragePool" | "Conv" | "ConvInteger" | "Einsum" | "Gemm" | "GlobalAveragePool" | "GlobalMaxPool"
        | "GlobalLpPool" | "MatMul" | "MatMulInteger" | "MaxPool" | "ReduceMax" | "ReduceMean" | "ReduceSum" => true,
        "Div" | "Mul" => operands().count() == 1 && operands().all(linear),
        "Add" | "Concat" | "Max" | "Mean" | "Sub" | "Sum" => operands().all(linear),
        "BatchNormalization" | "Cast" | "CastLike" | "Clip" | "DequantizeLinear" | "Dropout" | "Flatten" | "Gather"
        | "Identity" | "LeakyRelu" | "Neg" | "QuantizeLinear" | "Relu" | "Reshape" | "Slice" | "Split" | "Squeeze"
        | "Transpose" | "Unsqueeze" => node.input.first().is_some_and(linear),
        _ => false,
    }
}

/// Whether a tensor is the scale of dynamically quantised numbers, perhaps times that of the weights.
fn is_scale(index: &GraphIndex, tensor: &str) -> bool {
    let Some(node) = index.producer_node(tensor) else { return false };
    match node.op() {
        "DynamicQuantizeLinear" => node.output.first().is_none_or(|numbers| numbers != tensor),
        "Mul" => node.input.iter().any(|factor| {
            index.producer_node(factor).is_some_and(|n| n.op() == "DynamicQuantizeLinear" && n.output[0] != *factor)
        }),
        _ => false,
    }
}
