//! Finding the output of a classifier that holds the scores of its classes.

use std::collections::HashSet;

use super::classify::{Classification, Probability};
use super::evidence::{Ending, Evidence, evidence_of, is_named_for_classes};
use crate::error::{Error, Result};
use crate::grad::axes::Axes;
use crate::onnx::proto::{Node, Tensor, ValueInfo};
use crate::onnx::{DataType, GraphIndex, OnnxModel, Tensors};

/// Ops that may follow the logits. The gradient of a confident softmax is almost zero, so the search passes over them.
const TRAILING: &[&str] = &[
    "ArgMax",
    "Cast",
    "DequantizeLinear",
    "Identity",
    "LabelEncoder",
    "LogSoftmax",
    "Normalizer",
    "QuantizeLinear",
    "Sigmoid",
    "Softmax",
    "TopK",
];
/// Those of them that choose between classes.
const CHOOSING: &[&str] = &["ArgMax", "LogSoftmax", "Normalizer", "Softmax", "TopK"];
/// Ops that keep every number and change the shape alone.
const RESHAPING: &[&str] = &["Flatten", "Reshape", "Squeeze", "Unsqueeze"];

/// How a model's outputs are searched.
#[derive(Clone, Copy, Debug, Default)]
pub struct Search<'a> {
    /// The output to take, whatever it looks like.
    pub output: Option<&'a str>,
    /// An output that holds something else.
    pub not: Option<&'a str>,
    /// Whether there are labels, which say that it is about classes.
    pub labelled: bool,
    /// Whether the picture comes in as `[N,h,w,C]`.
    pub channels_last: bool,
}

/// The scores that were found, and what a user should know of the choice.
pub struct Found {
    pub classification: Classification,
    pub notices: Vec<String>,
}

/// An output that has the form of class scores.
struct Head<'m> {
    output: &'m str,
    classification: Classification,
    evidence: Evidence,
    /// Whether its name speaks of classes.
    named: bool,
}

/// Finds the logits: an output, or the tensor before its trailing softmax. Of several outputs it takes the one with the
/// best evidence that it holds classes.
///
/// # Errors
/// No output has the form `[N,K]` with classes along `K`, nothing tells which one holds them, or none is called
/// `output`.
pub fn find_logits(model: &OnnxModel, tensors: &Tensors, search: Search) -> Result<Found> {
    let outputs: Vec<&str> = model.graph().output.iter().map(ValueInfo::name).collect();
    let considered = |output: &&str| match search.output {
        Some(wanted) => *output == wanted,
        None => search.not != Some(*output),
    };
    let considered: Vec<&str> = outputs.iter().copied().filter(considered).collect();
    if let Some(name) = search.output.filter(|_| considered.is_empty()) {
        let known = format!("the model has {}", outputs.join(", "));
        return Err(Error::Unknown { what: "output", name: name.to_owned(), known });
    }
    let outputs = Outputs::new(model, tensors, search.channels_last);
    let mut heads = Vec::new();
    let mut misfits = Vec::new();
    for output in considered {
        match outputs.head_of(output) {
            Ok(head) => heads.push(head),
            Err(misfit) => misfits.push(format!("{output} {:?} {misfit}", outputs.shape(output))),
        }
    }
    if heads.is_empty() {
        return Err(no_classifier(model, &misfits));
    }
    choose(model, &heads, search)
}

/// Refuses a model whose only output, by its stated shape, is a picture or several numbers for each of its pixels. This
/// spares a run of a large segmenter with all its tensors.
///
/// # Errors
/// No output can hold the scores of classes.
pub fn check_stated_shapes(model: &OnnxModel, output: Option<&str>) -> Result<()> {
    let index = GraphIndex::new(model.graph());
    let considered = model.graph().output.iter().filter(|info| output.is_none_or(|wanted| info.name() == wanted));
    let mut misfits = Vec::new();
    for info in considered {
        let dims = info.dims().unwrap_or_default();
        // It may be part of a detector.
        if dims.len() <= 3 || model.graph().output.len() > 1 {
            return Ok(());
        }
        let long = dims.iter().skip(1).filter(|length| length.is_some_and(|length| length > 1)).count();
        if long < 2 || chooses_or_reshapes_scores(&index, info.name()) {
            return Ok(());
        }
        misfits.push(format!("{} [{}] {SEVERAL_NUMBERS}", info.name(), info.dims_text()));
    }
    if misfits.is_empty() { Ok(()) } else { Err(no_classifier(model, &misfits)) }
}

/// Whether an output's shape is not that of its scores.
fn chooses_or_reshapes_scores(index: &GraphIndex, output: &str) -> bool {
    let mut tensor = output;
    while let Some(node) = index.producer_node(tensor) {
        match node.op() {
            "ArgMax" | "TopK" | "ArrayFeatureExtractor" => return true,
            "Softmax" | "Sigmoid" | "LogSoftmax" => return tensor != output,
            op if TRAILING.contains(&op) || RESHAPING.contains(&op) => {}
            _ => return false,
        }
        let Some(before) = node.input.first() else { return false };
        tensor = before;
    }
    false
}

const SEVERAL_NUMBERS: &str = "(several numbers for each of many places, as detectors and segmenters have)";

fn no_classifier(model: &OnnxModel, misfits: &[String]) -> Error {
    let wanted = "whycam explains classifiers, whose output is [N,classes], and detectors of known layouts";
    model.error(format!("{wanted}; this model gives {}", misfits.join(", ")))
}

fn choose(model: &OnnxModel, heads: &[Head], search: Search) -> Result<Found> {
    let several_classes = |head: &&Head| head.classification.classes > 1;
    let best = heads.iter().map(|head| head.evidence).max().unwrap_or(Evidence::Against);
    let of_best = || heads.iter().filter(|head| head.evidence == best);
    let named = of_best().find(|head| several_classes(head) && head.named);
    let Some(chosen) = named.or(of_best().find(several_classes)).or(of_best().next()) else {
        return Err(model.error("it has no output"));
    };
    let Classification { logits, classes, .. } = &chosen.classification;
    let rivals: Vec<&Head> = heads.iter().filter(|head| head.classification.logits != *logits).collect();
    let list = |heads: &[&Head]| {
        let each = heads.iter().map(|head| format!("'{}' [N,{}]", head.output, head.classification.classes));
        each.collect::<Vec<_>>().join(", ")
    };
    let (output, mut notices) = (chosen.output, Vec::new());
    let classification = chosen.classification.clone();
    if search.output.is_some() {
        return Ok(Found { classification, notices });
    }
    let undecided = rivals.iter().any(|rival| rival.evidence == best && several_classes(rival));
    match best {
        Evidence::Against => {
            let problem = "looks like a value, points, boxes or an embedding, not like the scores of classes";
            let remedy = format!("--output {output} explains it as {classes} classes");
            return Err(model.error(format!("its output {} {problem}; {remedy}", list(&[chosen]))));
        }
        Evidence::Linear if undecided => {
            let all = list(&heads.iter().collect::<Vec<_>>());
            let problem = format!("nothing tells which of its outputs {all} holds the scores of classes");
            return Err(model.error(format!("{problem}; --output chooses")));
        }
        _ => {}
    }
    if classification.probability == Probability::Given {
        notices.push(format!(
            "output '{output}' holds probabilities that the model goes on from; the gradient starts at them, and vanishes \
             where one is close to 0 or 1"
        ));
    }
    if !rivals.is_empty() {
        let others = list(&rivals);
        notices.push(format!("output '{output}' is explained; the model also gives {others}; --output chooses"));
    }
    if best == Evidence::Linear && *classes != IMAGENET && !search.labelled {
        notices.push(format!(
            "output '{output}' is explained as {classes} classes, though nothing in the file says that it holds classes; \
             --labels names them"
        ));
    }
    Ok(Found { classification, notices })
}

/// How far after a softmax a graph still works on its probabilities, in steps and in nodes.
const MOST_STEPS: usize = 6;
const MOST_NODES: usize = 64;
/// As many classes as ImageNet has say what they are.
const IMAGENET: usize = 1000;

/// The outputs of a model.
struct Outputs<'m> {
    index: GraphIndex<'m>,
    tensors: &'m Tensors,
    /// The tensors that depend on the picture.
    varying: HashSet<&'m str>,
    axes: Option<Axes<'m>>,
    batch: usize,
}

impl<'m> Outputs<'m> {
    fn new(model: &'m OnnxModel, tensors: &'m Tensors, channels_last: bool) -> Self {
        let input = model.graph().true_inputs().next().map(ValueInfo::name);
        let batch = input.and_then(|input| tensors.get(input)?.shape.first().copied()).unwrap_or(1);
        let axes = input.map(|input| Axes::trace(model, tensors, input, channels_last));
        let index = GraphIndex::new(model.graph());
        let varying = input.map(|input| index.dependents(input)).unwrap_or_default();
        Self { index, tensors, varying, axes, batch }
    }

    fn shape(&self, tensor: &str) -> &'m [usize] {
        self.tensors.get(tensor).map_or(&[][..], |info| &info.shape)
    }

    /// The head that ends in an output, or why it is none.
    fn head_of(&self, output: &'m str) -> Result<Head<'m>, String> {
        let mut probability = Probability::Softmax;
        let mut ending = Ending::Bare;
        let mut of_largest = false;
        // A change of shape is passed over only if a softmax comes before it.
        let (mut logits, mut tensor) = (output, output);
        while let Some(node) = self.index.producer_node(tensor) {
            if let Some(before) = decomposed_softmax(&self.index, node) {
                (logits, tensor, ending) = (before, before, Ending::Choice);
                continue;
            }
            if let Some(before) = decomposed_sigmoid(&self.index, node) {
                (logits, tensor, probability) = (before, before, Probability::Sigmoid);
                ending = if ending == Ending::Choice { ending } else { Ending::Sigmoid };
                continue;
            }
            let Some(before) = source(node) else { break };
            tensor = before;
            if self.rescales_probabilities(node) {
                continue;
            }
            if TRAILING.contains(&node.op()) || node.op() == "ArrayFeatureExtractor" || self.is_log_of_softmax(node) {
                logits = tensor;
                if CHOOSING.contains(&node.op()) || matches!(node.op(), "Exp" | "Log") {
                    ending = Ending::Choice;
                }
                of_largest |= node.op() == "ArgMax";
                if node.op() == "Sigmoid" {
                    probability = Probability::Sigmoid;
                    ending = if ending == Ending::Choice { ending } else { Ending::Sigmoid };
                }
            } else if !RESHAPING.contains(&node.op()) {
                break;
            }
        }
        while let Some(same) = self.before_empty_reshape(logits) {
            logits = same;
        }
        let Some(info) = self.tensors.get(logits).filter(|t| t.kind.is_none_or(DataType::is_float)) else {
            return Err("(no numbers of a float type)".into());
        };
        let classes = self.classes(logits, &info.shape, of_largest)?;
        if ending == Ending::Bare && self.is_made_of_probabilities(output, MOST_STEPS, &mut MOST_NODES.clone()) {
            (probability, ending) = (Probability::Given, Ending::Choice);
        } else if classes == 1 {
            probability = Probability::Sigmoid;
        }
        let classification = Classification { logits: logits.to_owned(), classes, probability };
        let evidence = evidence_of(&self.index, &self.varying, output, logits, ending);
        Ok(Head { output, classification, evidence, named: is_named_for_classes(output) })
    }

    /// The number of classes along the one long axis of the logits.
    fn classes(&self, logits: &str, shape: &[usize], of_largest: bool) -> Result<usize, String> {
        let of_one = match shape.split_first() {
            Some((first, rest)) if *first == self.batch && !rest.is_empty() => rest,
            // Without a batch axis.
            _ if self.batch == 1 && shape.len() == 1 => shape,
            _ => return Err(format!("(its first axis is not the batch of {})", self.batch)),
        };
        let long: Vec<usize> = of_one.iter().copied().filter(|&d| d > 1).collect();
        match long.as_slice() {
            [] if of_one.contains(&0) => Err("(empty)".into()),
            [] => Ok(1),
            [_] if self.axes.as_ref().is_some_and(|axes| axes.has_position(logits)) => {
                Err("(a number for each cell or anchor of a map, no classes)".into())
            }
            [classes] => Ok(*classes),
            _ if of_largest => {
                Err(format!("(the largest of {shape:?}: the classes of a sequence or of pixels, not of the picture)"))
            }
            _ => Err(SEVERAL_NUMBERS.into()),
        }
    }

    /// What a tensor was reshaped from, if that has the same shape.
    fn before_empty_reshape(&self, tensor: &str) -> Option<&'m str> {
        let node = self.index.producer_node(tensor).filter(|node| RESHAPING.contains(&node.op()))?;
        let before = node.input.first()?;
        (self.shape(before) == self.shape(tensor)).then_some(before)
    }

    /// Whether a node only scales or clips the result of a softmax or sigmoid.
    fn rescales_probabilities(&self, node: &Node) -> bool {
        let mut node = node;
        for _ in 0..MOST_STEPS {
            let varying = node.input.iter().filter(|input| self.varying.contains(input.as_str())).count();
            // A factor for each class changes their order.
            let same_for_all = node
                .input
                .iter()
                .all(|input| self.varying.contains(input.as_str()) || self.shape(input).iter().product::<usize>() <= 1);
            let rescaling = matches!(node.op(), "Clip" | "Div" | "Mul") && varying == 1 && same_for_all;
            let before = node.input.iter().find(|input| self.varying.contains(input.as_str()));
            let Some(before) = before.and_then(|x| self.index.producer_node(x)).filter(|_| rescaling) else {
                return false;
            };
            if matches!(before.op(), "Softmax" | "Sigmoid") {
                return true;
            }
            node = before;
        }
        false
    }

    /// Whether a tensor is selected, shifted or averaged from the results of softmaxes and sigmoids alone.
    fn is_made_of_probabilities(&self, tensor: &str, steps: usize, left: &mut usize) -> bool {
        let Some(node) = self.index.producer_node(tensor).filter(|_| steps > 0 && *left > 0) else { return false };
        *left -= 1;
        let varying = || node.input.iter().filter(|input| self.varying.contains(input.as_str()));
        let combining = match node.op() {
            "Softmax" | "Sigmoid" => return steps < MOST_STEPS,
            "HardSigmoid" => return true,
            "Clip" | "Div" | "Mul" | "Gather" | "Slice" | "Split" => varying().count() == 1,
            "Add" | "AveragePool" | "Concat" | "GlobalAveragePool" | "GlobalMaxPool" | "Max" | "MaxPool" | "Mean"
            | "Min" | "ReduceMax" | "ReduceMean" | "Sub" | "Sum" => true,
            op => RESHAPING.contains(&op),
        };
        combining && varying().all(|operand| self.is_made_of_probabilities(operand, steps - 1, left))
    }

    /// Whether a node is the logarithm of a softmax, or undoes that of a log-softmax.
    fn is_log_of_softmax(&self, node: &Node) -> bool {
        let before = node.input.first().and_then(|input| self.index.producer_node(input)).map_or("", Node::op);
        matches!((node.op(), before), ("Log", "Softmax") | ("Exp", "LogSoftmax"))
    }
}

/// The input that a node takes its numbers from.
fn source(node: &Node) -> Option<&str> {
    // The first input of an ArrayFeatureExtractor is the list of labels.
    node.input.get(usize::from(node.op() == "ArrayFeatureExtractor")).map(String::as_str)
}

/// `x` of `exp(x) / Σ exp(x)`, or of `exp(x - max x) / Σ exp(x - max x)`.
pub(super) fn decomposed_softmax<'g>(index: &GraphIndex<'g>, node: &'g Node) -> Option<&'g str> {
    let [powers, sum] = node.input.get(..2).filter(|_| node.op() == "Div")? else { return None };
    let sum = index.producer_node(sum).filter(|n| n.op() == "ReduceSum" && n.input.first() == Some(powers));
    let x = index.producer_node(powers).filter(|n| sum.is_some() && n.op() == "Exp")?.input.first()?;
    let shifted = index.producer_node(x).filter(|n| n.op() == "Sub");
    let by_max = |n: &&Node| n.input.get(1).and_then(|m| index.producer_node(m)).is_some_and(|m| m.op() == "ReduceMax");
    Some(shifted.filter(by_max).and_then(|n| n.input.first()).unwrap_or(x))
}

/// `x` of `1 / (1 + exp(-x))`.
pub(super) fn decomposed_sigmoid<'g>(index: &GraphIndex<'g>, node: &'g Node) -> Option<&'g str> {
    let is_one = |tensor: &String| {
        index.constant(tensor).and_then(Tensor::first_f32).is_some_and(|one| (one - 1.0).abs() < 1e-6)
    };
    let sum = match (node.op(), node.input.as_slice()) {
        ("Div", [one, sum]) if is_one(one) => sum,
        ("Reciprocal", [sum]) => sum,
        _ => return None,
    };
    let sum = index.producer_node(sum).filter(|n| n.op() == "Add" && n.input.iter().any(is_one))?;
    let power = sum.input.iter().find_map(|part| index.producer_node(part).filter(|n| n.op() == "Exp"))?;
    let negative = index.producer_node(power.input.first()?).filter(|n| n.op() == "Neg")?;
    negative.input.first().map(String::as_str)
}
