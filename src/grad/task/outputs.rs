//! The outputs of a model, each followed back to the numbers before its softmax or sigmoid.

use std::collections::HashSet;

use super::evidence::Ending;
use super::score_row::Probability;
use crate::grad::axes::{Axes, TensorLayout};
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
/// Ops that keep the numbers of a mask, in another order or at another size.
const MOVING: &[&str] = &["Resize", "Transpose", "Upsample"];
/// How far after a softmax a graph still works on its probabilities, in steps and in nodes.
const MOST_STEPS: usize = 6;
const MOST_NODES: usize = 64;

/// The outputs of a model.
pub struct Outputs<'m> {
    pub model: &'m OnnxModel,
    pub index: GraphIndex<'m>,
    pub tensors: &'m Tensors,
    /// The tensors that depend on the picture.
    pub varying: HashSet<&'m str>,
    axes: Option<Axes<'m>>,
    pub batch: usize,
}

/// The numbers that an output is made from, before any softmax, sigmoid or choice of the largest.
#[derive(Clone, Copy, Debug)]
pub struct Source<'m> {
    pub tensor: &'m str,
    pub ending: Ending,
    /// Whether the output is the index of the largest.
    pub of_largest: bool,
    pub probability: Probability,
}

impl<'m> Outputs<'m> {
    pub fn new(model: &'m OnnxModel, tensors: &'m Tensors, channels_last: bool) -> Self {
        let input = model.graph().true_inputs().next().map(ValueInfo::name);
        let batch = input.and_then(|input| tensors.get(input)?.shape.first().copied()).unwrap_or(1);
        let axes = input.map(|input| Axes::trace(model, tensors, input, channels_last));
        let index = GraphIndex::new(model.graph());
        let varying = input.map(|input| index.dependents(input)).unwrap_or_default();
        Self { model, index, tensors, varying, axes, batch }
    }

    pub fn shape(&self, tensor: &str) -> &'m [usize] {
        self.tensors.get(tensor).map_or(&[][..], |info| &info.shape)
    }

    /// Height and width of the model's input.
    pub fn picture(&self) -> Option<[usize; 2]> {
        let input = self.model.graph().true_inputs().next()?.name();
        let layout = self.layout(input)?;
        Some([layout.height, layout.width])
    }

    /// The layout of the map that a tensor holds.
    pub fn layout(&self, tensor: &str) -> Option<TensorLayout> {
        self.axes.as_ref()?.layout(tensor)
    }

    /// Whether a tensor's numbers each belong to a part of the picture.
    pub fn has_position(&self, tensor: &str) -> bool {
        self.axes.as_ref().is_some_and(|axes| axes.has_position(tensor))
    }

    /// Whether a tensor holds numbers of a float type.
    pub fn is_float(&self, tensor: &str) -> bool {
        self.tensors.get(tensor).is_some_and(|info| info.kind.is_none_or(DataType::is_float))
    }

    /// What an output is made from.
    ///
    /// # Errors
    /// It holds no numbers, or none of a float type; the text says so.
    pub fn source_of(&self, output: &'m str) -> Result<Source<'m>, String> {
        if self.shape(output).contains(&0) {
            return Err("(empty)".into());
        }
        let (mut probability, mut ending, mut of_largest) = (Probability::Softmax, Ending::Bare, false);
        // A change of shape, order or size is passed over only if a softmax comes before it.
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
            let Some(before) = numbers_of(node) else { break };
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
            } else if !(RESHAPING.contains(&node.op()) || MOVING.contains(&node.op())) {
                break;
            }
        }
        while let Some(same) = self.before_empty_reshape(logits) {
            logits = same;
        }
        if !self.is_float(logits) {
            return Err("(no numbers of a float type)".into());
        }
        if ending == Ending::Bare && self.is_made_of_probabilities(output, MOST_STEPS, &mut MOST_NODES.clone()) {
            (probability, ending) = (Probability::Given, Ending::Choice);
        }
        Ok(Source { tensor: logits, ending, of_largest, probability })
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

    /// Whether the last node multiplies by a number above 1.
    pub fn is_enlarged(&self, output: &str) -> bool {
        let Some(node) = self.index.producer_node(output) else { return false };
        let factor = node.input.iter().find_map(|input| self.index.constant(input)?.first_f32());
        match node.op() {
            "Mul" => factor.is_some_and(|factor| factor > 1.0),
            "Div" => factor.is_some_and(|factor| factor > 0.0 && factor < 1.0),
            _ => false,
        }
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

/// Whether an output's shape is not that of its scores.
pub fn chooses_or_reshapes_scores(index: &GraphIndex, output: &str) -> bool {
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

/// The input that a node takes its numbers from.
fn numbers_of(node: &Node) -> Option<&str> {
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
