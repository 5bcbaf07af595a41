//! Finding the target layer.

use std::collections::{HashMap, HashSet};

use super::axes::{Axes, View};
use super::{Head, Tensors};
use crate::error::{Error, Result};
use crate::onnx::proto::Node;
use crate::onnx::{DataType, GraphIndex, OnnxModel};

/// Ops behind which the target layer is not moved: they lose place or add nothing to see.
const POOLING: &[&str] = &["AveragePool", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "LpPool", "MaxPool"];
const TRANSPARENT: &[&str] = &["Cast", "Dropout", "Identity"];
/// Ops that hold the same map in another order of axes, or without the class token.
const LAYOUT: &[&str] = &["Flatten", "Gather", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"];
const QUANTISING: &[&str] = &["DequantizeLinear", "QuantizeLinear"];
const ACTIVATIONS: &[&str] = &[
    "Celu",
    "Clip",
    "Elu",
    "Gelu",
    "HardSwish",
    "LeakyRelu",
    "Mish",
    "PRelu",
    "Relu",
    "Selu",
    "Sigmoid",
    "Softplus",
    "Swish",
    "Tanh",
];
const NORMS: &[&str] = &[
    "BatchNormalization",
    "GroupNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "MeanVarianceNormalization",
    "RMSNormalization",
];

const UNMOVED: &str = "the last layer with rows and columns before the logits";

/// A tensor that a map can be drawn from.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub tensor: String,
    pub node: String,
    pub op: String,
    /// As the tensor lies in the model: `[N,C,h,w]`, `[N,h,w,C]`, or tokens.
    pub shape: Vec<usize>,
    /// How it holds the map.
    pub view: View,
    /// Layers with weights (convolutions and matrix products) on the longest way from the input.
    pub depth: usize,
}

#[derive(Clone, Debug)]
pub struct Target {
    pub layer: Candidate,
    /// Why it was chosen.
    pub reason: String,
}

/// A classifier seen as layers: what follows what, and what its tensors hold.
struct Layers<'m> {
    model: &'m OnnxModel,
    index: GraphIndex<'m>,
    axes: Axes<'m>,
    /// All tensors that depend on the picture.
    dependents: HashSet<&'m str>,
    /// The places of the nodes that the logits depend on.
    ancestors: HashSet<usize>,
    candidates: Vec<Candidate>,
}

/// All tensors between input and logits that hold a map of more than one place, first to last.
///
/// `channels_last` says that the input is `[N,h,w,C]`.
pub fn list_candidates(model: &OnnxModel, tensors: &Tensors, head: &Head, channels_last: bool) -> Vec<Candidate> {
    Layers::of(model, tensors, head, channels_last).map_or_else(Vec::new, |layers| layers.candidates)
}

/// Chooses the target layer: the one asked for, or the default.
///
/// `layer` is a tensor or node name, a unique part of one, or a negative number counted from the
/// last candidate. The default is the last activation before trailing pooling; where the logits
/// see only a class token, the last norm before the last attention.
///
/// # Errors
/// Nothing, or more than one layer, answers to `layer`; or the model has no spatial layer.
pub fn find_target(
    model: &OnnxModel,
    tensors: &Tensors,
    head: &Head,
    channels_last: bool,
    layer: Option<&str>,
) -> Result<Target> {
    let layers = Layers::of(model, tensors, head, channels_last).filter(|layers| !layers.candidates.is_empty());
    let Some(layers) = layers else {
        return Err(model.error(
            "it has no layer with rows and columns between input and logits; whycam explains classifiers of pictures",
        ));
    };
    let (at, reason) = match layer {
        Some(name) => (layers.named(name, tensors)?, "asked for by --layer"),
        None => layers.before_class_token().unwrap_or_else(|| layers.before_pooling()),
    };
    if layer.is_none() && layers.candidates[at].depth == 0 {
        return Err(model.error(
            "behind its first weights whycam cannot follow rows and columns; name a layer [N,C,h,w] with --layer",
        ));
    }
    Ok(Target { layer: layers.candidates[at].clone(), reason: reason.into() })
}

/// The model's input as the target: for methods that ask which pixels count.
///
/// # Errors
/// The input is no picture of more than one pixel.
pub fn input_target(model: &OnnxModel, tensors: &Tensors, channels_last: bool) -> Result<Target> {
    let input = model.graph().true_inputs().next().map_or("", |input| input.name());
    let view = Axes::trace(model, tensors, input, channels_last).view(input);
    let (Some(view), Some(info)) = (view, tensors.get(input)) else {
        return Err(model.error(format!("its input {input} is no picture")));
    };
    let layer = Candidate {
        tensor: input.to_owned(),
        node: input.to_owned(),
        op: "input".into(),
        shape: info.shape.clone(),
        view,
        depth: 0,
    };
    Ok(Target { layer, reason: "the method asks about pixels".into() })
}

impl<'m> Layers<'m> {
    fn of(model: &'m OnnxModel, tensors: &'m Tensors, head: &Head, channels_last: bool) -> Option<Self> {
        let input = model.graph().true_inputs().next()?.name();
        let index = GraphIndex::new(model.graph());
        let mut layers = Self {
            model,
            axes: Axes::trace(model, tensors, input, channels_last),
            dependents: index.dependents(input),
            ancestors: index.ancestors(&head.logits),
            index,
            candidates: Vec::new(),
        };
        let depths = layers.depths();
        let mut candidates = Vec::new();
        for (_, node) in layers.on_the_way() {
            for tensor in &node.output {
                let Some(info) = tensors.get(tensor).filter(|t| t.kind.is_none_or(DataType::is_float)) else {
                    continue;
                };
                let Some(view) = layers.axes.view(tensor) else { continue };
                candidates.push(Candidate {
                    tensor: tensor.clone(),
                    node: node.label().to_owned(),
                    op: node.op().to_owned(),
                    shape: info.shape.clone(),
                    view,
                    depth: depths.get(tensor.as_str()).copied().unwrap_or(0),
                });
            }
        }
        layers.candidates = candidates;
        Some(layers)
    }

    /// The nodes between the input and the logits.
    fn on_the_way(&self) -> impl DoubleEndedIterator<Item = (usize, &'m Node)> {
        let nodes = self.model.graph().node.iter().enumerate();
        nodes.filter(|(place, node)| self.ancestors.contains(place) && !self.seen(node).is_empty())
    }

    /// The inputs of a node that depend on the picture.
    fn seen(&self, node: &'m Node) -> Vec<&'m str> {
        node.input.iter().map(String::as_str).filter(|i| self.dependents.contains(i)).collect()
    }

    fn depths(&self) -> HashMap<&'m str, usize> {
        let mut depths: HashMap<&str, usize> = HashMap::new();
        for (_, node) in self.on_the_way() {
            let before = node.input.iter().filter_map(|i| depths.get(i.as_str())).max().copied().unwrap_or(0);
            let product = matches!(node.op(), "Conv" | "ConvTranspose" | "Einsum" | "Gemm" | "MatMul");
            let weighted = product && node.input.iter().take(2).any(|i| !self.dependents.contains(i.as_str()));
            depths.extend(node.output.iter().map(|output| (output.as_str(), before + usize::from(weighted))));
        }
        depths
    }

    fn candidate(&self, tensor: &str) -> Option<usize> {
        self.candidates.iter().position(|c| c.tensor == tensor)
    }

    /// The last activation before trailing pooling. A norm behind a residual sum is walked past to
    /// the sum, the last block's output.
    fn before_pooling(&self) -> (usize, &'static str) {
        let last = self.candidates.len() - 1;
        let grid = |at: usize| (self.candidates[at].view.height, self.candidates[at].view.width);
        // A branch of a block that loses its grid is not all that the logits see; what the block began with is.
        let narrow = self.bottlenecks();
        let whole = (0..=last).rev().find(|&at| narrow.contains(self.candidates[at].tensor.as_str()));
        let mut at = whole.filter(|&at| grid(at) == grid(last)).unwrap_or(last);
        let mut reason = UNMOVED;
        while let Some(node) = self.index.producer_node(&self.candidates[at].tensor) {
            if let Some(sum) = self.normalised(&self.candidates[at].tensor).filter(|x| self.is_residual(x))
                && let Some(earlier) = self.candidate(sum)
            {
                (at, reason) = (earlier, "the last block's output, before the final norm");
                continue;
            }
            let before = node.input.first().map_or("", String::as_str);
            // Quantised numbers are no candidates; what they stand for is.
            let unquantised = self.index.producer_node(before).filter(|n| QUANTISING.contains(&n.op()));
            let before = unquantised.and_then(|n| n.input.first()).map_or(before, String::as_str);
            let Some(earlier) = self.candidate(before) else { break };
            let activated = ACTIVATIONS.contains(&self.candidates[earlier].op.as_str());
            match node.op() {
                op if POOLING.contains(&op) => reason = "the last activation before trailing pooling",
                "BatchNormalization" if activated => reason = "the last activation",
                op if QUANTISING.contains(&op) && activated => {}
                op if TRANSPARENT.contains(&op) || LAYOUT.contains(&op) => {}
                _ => break,
            }
            at = earlier;
        }
        let activated = ACTIVATIONS.contains(&self.candidates[at].op.as_str());
        if activated && reason == UNMOVED {
            reason = "the last activation before the logits";
        }
        (at, reason)
    }

    /// Where only a class token, or what a learnt query saw, goes on to the logits, the patches get
    /// gradient through the last attention alone: the norm before it (the convention of pytorch-grad-cam).
    fn before_class_token(&self) -> Option<(usize, &'static str)> {
        let (mixing, _) = self.on_the_way().rfind(|(_, node)| self.axes.mixes_places(node))?;
        let before = self.index.ancestors(self.model.graph().node[mixing].output.first()?);
        let last = self.index.producer(&self.candidates.last()?.tensor)?;
        let drops = |node: &Node| self.axes.drops_places(node);
        let dropping: HashSet<usize> = self.on_the_way().filter(|(_, n)| drops(n)).map(|(place, _)| place).collect();
        let dropped = !dropping.is_empty() && !self.reaches_the_logits(last, &dropping);
        // Attention of a learnt query takes the places in; no token stands for it.
        if !dropped && !before.contains(&last) {
            return None;
        }
        let attended = |c: &Candidate| self.index.producer(&c.tensor).is_some_and(|place| before.contains(&place));
        let moved = |c: &Candidate| LAYOUT.contains(&c.op.as_str()) || TRANSPARENT.contains(&c.op.as_str());
        let tokens: Vec<usize> = (0..self.candidates.len())
            .rev()
            .filter(|&at| attended(&self.candidates[at]) && !moved(&self.candidates[at]))
            .collect();
        let norm = tokens.iter().find(|&&at| self.normalised(&self.candidates[at].tensor).is_some());
        let ends_a_block = |at: usize| {
            self.is_residual(&self.candidates[at].tensor) || ACTIVATIONS.contains(&self.candidates[at].op.as_str())
        };
        let block = || tokens.iter().find(|&&at| ends_a_block(at));
        match (norm, block()) {
            (Some(&at), _) => {
                Some((at, "the last norm before the last attention, through which alone the logits see the places"))
            }
            (None, Some(&at)) => {
                Some((at, "the last block before the last attention, through which alone the logits see the places"))
            }
            (None, None) => Some((
                *tokens.first()?,
                "the last layer before the last attention, through which alone the logits see the places",
            )),
        }
    }

    /// Whether the logits depend on a node by a way that passes none of the nodes `barred`.
    fn reaches_the_logits(&self, from: usize, barred: &HashSet<usize>) -> bool {
        let nodes = &self.model.graph().node;
        let mut reached: HashSet<&str> = nodes[from].output.iter().map(String::as_str).collect();
        for (place, node) in self.on_the_way().filter(|(place, _)| *place > from && !barred.contains(place)) {
            if node.input.iter().any(|i| reached.contains(i.as_str())) {
                reached.extend(nodes[place].output.iter().map(String::as_str));
            }
        }
        let end = self.ancestors.iter().max();
        end.is_some_and(|&end| nodes[end].output.iter().any(|o| reached.contains(o.as_str())))
    }

    /// The tensors that every way from the input to the logits passes: after them nothing made earlier
    /// is used any more.
    fn bottlenecks(&self) -> HashSet<&'m str> {
        let mut last_use: HashMap<&str, usize> = HashMap::new();
        for (place, node) in self.on_the_way() {
            last_use.extend(self.seen(node).into_iter().map(|tensor| (tensor, place)));
        }
        let mut found = HashSet::new();
        let mut needed_until = 0;
        for (place, node) in self.on_the_way() {
            let mut used = node.output.iter().filter(|o| last_use.contains_key(o.as_str()));
            if let Some(tensor) = used.next()
                && used.next().is_none()
                && needed_until <= place
            {
                found.insert(tensor.as_str());
            }
            let until = node.output.iter().filter_map(|o| last_use.get(o.as_str())).max();
            needed_until = needed_until.max(until.copied().unwrap_or(0));
        }
        found
    }

    /// A sum of two tensors that both depend on the picture.
    fn is_residual(&self, tensor: &str) -> bool {
        self.index.producer_node(tensor).is_some_and(|node| node.op() == "Add" && self.seen(node).len() == 2)
    }

    /// What `tensor` is the normalised form of, whether by one node or, as older exporters write it, by several.
    fn normalised(&self, tensor: &str) -> Option<&'m str> {
        let mut node = self.index.producer_node(tensor)?;
        loop {
            let seen = self.seen(node);
            let before = match (node.op(), seen.as_slice()) {
                (op, [x, ..]) if NORMS.contains(&op) => return Some(self.unmoved(x)),
                ("Add" | "Div" | "Mul" | "Sub", [x]) | ("Cast" | "Reshape", [x, ..]) => x,
                ("Div" | "Mul", [a, b]) => {
                    let [left, right] = [a, b].map(|t| self.index.producer_node(t));
                    if let Some(x) = [left, right].into_iter().flatten().find_map(|n| self.centred(n)) {
                        return Some(self.unmoved(x));
                    }
                    let by_size =
                        [(a, right), (b, left)].into_iter().find(|(x, n)| n.is_some_and(|n| self.is_size_of(n, x)));
                    return by_size.map(|(x, _)| self.unmoved(x));
                }
                _ => return None,
            };
            node = self.index.producer_node(before)?;
        }
    }

    /// `x` of `x - mean(x)`.
    fn centred(&self, node: &'m Node) -> Option<&'m str> {
        let [x, mean] = node.input.get(..2)? else { return None };
        let mean = self.index.producer_node(mean)?;
        let own = node.op() == "Sub" && mean.op() == "ReduceMean" && mean.input.first() == Some(x);
        own.then_some(x.as_str())
    }

    /// Whether a node makes the root of the mean square of `x`, or its reciprocal.
    fn is_size_of(&self, node: &'m Node, x: &str) -> bool {
        let mut node = node;
        for _ in 0..6 {
            if node.op() == "ReduceMean" {
                let square = node.input.first().and_then(|i| self.index.producer_node(i));
                return square.is_some_and(|n| n.input.first().is_some_and(|i| i == x));
            }
            let seen = self.seen(node);
            let Some(before) = seen.first().and_then(|i| self.index.producer_node(i)) else { return false };
            node = before;
        }
        false
    }

    /// The tensor behind casts and moved axes.
    fn unmoved(&self, tensor: &'m str) -> &'m str {
        let mut tensor = tensor;
        while let Some(node) = self.index.producer_node(tensor)
            && matches!(node.op(), "Cast" | "Reshape" | "Transpose")
            && let Some(before) = node.input.first().filter(|before| self.candidate(before).is_some())
        {
            tensor = before;
        }
        tensor
    }

    fn named(&self, name: &str, tensors: &Tensors) -> Result<usize> {
        let candidates = &self.candidates;
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
        if let Some(info) = tensors.get(name) {
            let shape = &info.shape;
            let problem = format!("layer {name} {shape:?} holds no map of rows and columns on the way to the logits");
            return Err(self.model.error(format!("{problem}; whycam inspect lists those that do")));
        }
        let part = |c: &Candidate| c.tensor.contains(name) || c.node.contains(name);
        let found: Vec<usize> = (0..candidates.len()).filter(|&i| part(&candidates[i])).collect();
        match found.as_slice() {
            [only] => Ok(*only),
            [] => Err(unknown("whycam inspect lists the candidates".into())),
            [first, second, ..] => {
                let [first, second] = [first, second].map(|&i| candidates[i].tensor.as_str());
                let count = found.len();
                Err(unknown(format!(
                    "it is a part of {count} layers, such as {first} and {second}; give more of the name"
                )))
            }
        }
    }
}
