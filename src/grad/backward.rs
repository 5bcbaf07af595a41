//! What a rule sees and what it writes to.

use std::collections::{HashMap, HashSet};

use super::Tensors;
use crate::error::{Error, Result};
use crate::onnx::proto::{Attribute, Node, Tensor};
use crate::onnx::{DataType, GraphIndex, OnnxModel};

/// The backward pass while it is being written.
///
/// It is float32 throughout: forward tensors of another float type are cast where they are first used.
pub struct Backward<'m> {
    model: &'m OnnxModel,
    tensors: &'m Tensors,
    patch: Patch,
    made: usize,
    /// Sums that the backward pass makes itself, by the forward tensor that they equal.
    exchanged: HashMap<&'m str, String>,
    casts: HashMap<String, String>,
    one_hot: Option<OneHot>,
    /// Whether gradients may have a longer first axis than the forward tensors, of length 1: one entry
    /// for each class of one picture.
    pub several: bool,
}

/// The highest number in a name that an earlier backward pass gave.
fn highest_number(model: &OnnxModel) -> usize {
    let graph = model.graph();
    let made = graph.node.iter().flat_map(|n| n.output.iter().map(String::as_str).chain([n.name()]));
    let names = made.chain(graph.initializer.iter().map(Tensor::name));
    let numbers = names.filter_map(|name| name.strip_prefix("whycam.")?.split_once('.')?.0.parse().ok());
    numbers.max().unwrap_or(0)
}

/// A gradient `[N,K]` that is 1 for one class of each picture and 0 for the others.
struct OneHot {
    tensor: String,
    class: String,
}

/// Nodes and constants to be added to a model.
#[derive(Default)]
pub struct Patch {
    pub nodes: Vec<Node>,
    pub initializers: Vec<Tensor>,
    /// Optional outputs of forward nodes that the backward pass needs: place, output, name.
    pub extra_outputs: Vec<(usize, usize, String)>,
}

impl Patch {
    pub fn apply(self, model: &mut OnnxModel) {
        let graph = model.graph_mut();
        for (place, output, name) in self.extra_outputs {
            let outputs = &mut graph.node[place].output;
            outputs.resize(outputs.len().max(output + 1), String::new());
            outputs[output] = name;
        }
        graph.node.extend(self.nodes);
        graph.initializer.extend(self.initializers);
    }

    /// Leaves out what no tensor of `wanted` depends on.
    fn keep_only(&mut self, wanted: &[&str]) {
        let mut used: HashSet<String> = wanted.iter().map(ToString::to_string).collect();
        let mut kept: Vec<Node> = Vec::with_capacity(self.nodes.len());
        for node in self.nodes.drain(..).rev().collect::<Vec<_>>() {
            if node.output.iter().any(|o| used.contains(o)) {
                used.extend(node.input.iter().cloned());
                kept.push(node);
            }
        }
        kept.reverse();
        self.nodes = kept;
        self.initializers.retain(|t| used.contains(t.name()));
        self.extra_outputs.retain(|(_, _, name)| used.contains(name));
    }
}

impl<'m> Backward<'m> {
    pub fn new(model: &'m OnnxModel, tensors: &'m Tensors) -> Self {
        Self {
            model,
            tensors,
            patch: Patch::default(),
            made: highest_number(model),
            exchanged: HashMap::new(),
            casts: HashMap::new(),
            one_hot: None,
            several: false,
        }
        .with_exchanged_sums()
    }

    /// What `wanted` needs of what was written.
    pub fn into_patch(mut self, wanted: &[&str]) -> Patch {
        self.patch.keep_only(wanted);
        self.patch
    }

    /// All that was written.
    pub fn into_whole_patch(self) -> Patch {
        self.patch
    }

    /// The nodes that were written so far, to be put elsewhere.
    pub fn take_nodes(&mut self) -> Vec<Node> {
        std::mem::take(&mut self.patch.nodes)
    }

    /// The gradient `[N,K]` of the logits of the classes `class` `[N]`.
    pub fn one_hot(&mut self, class: &str, classes: usize) -> String {
        let [depth, off_on] = [self.int64(classes as i64), self.floats(&[2], &[0.0, 1.0])];
        let tensor = self.emit("OneHot", &[class, &depth, &off_on], vec![]);
        self.one_hot = Some(OneHot { tensor: tensor.clone(), class: class.to_owned() });
        tensor
    }

    /// The classes that a gradient made by [`Backward::one_hot`] stands for. A product with it is
    /// those rows of the other factor.
    pub fn class_of(&self, gradient: &str) -> Option<String> {
        self.one_hot.as_ref().filter(|o| o.tensor == gradient).map(|o| o.class.clone())
    }

    /// A runtime may fuse a sum with the norm behind it where nothing else reads the sum. So that it
    /// still does, and the model's outputs stay what they were bit for bit, the backward pass reads
    /// the same sum with its terms exchanged.
    fn with_exchanged_sums(mut self) -> Self {
        let graph = self.model.graph();
        let readers = GraphIndex::new(graph).readers();
        for node in graph.node.iter().filter(|n| n.op() == "Add" && n.input.len() == 2) {
            let [sum] = node.output.as_slice() else { continue };
            let normalised = matches!(
                readers.get(sum.as_str()).map(Vec::as_slice),
                Some([reader]) if graph.node[*reader].op() == "LayerNormalization"
            );
            if normalised && !graph.output.iter().any(|o| o.name() == sum) {
                let exchanged = self.fresh_name("sum");
                let inputs = [node.input[1].as_str(), &node.input[0]];
                self.patch.nodes.push(Node::new("Add", exchanged.as_str(), &inputs, &[&exchanged]));
                self.exchanged.insert(sum, exchanged);
            }
        }
        self
    }

    /// What stands for a forward tensor in the backward pass.
    fn reading(&mut self, tensor: &str) -> String {
        if let Some(cast) = self.casts.get(tensor) {
            return cast.clone();
        }
        let read = self.exchanged.get(tensor).map_or(tensor, String::as_str).to_owned();
        let kind = self.tensors.get(tensor).and_then(|t| t.kind);
        if !kind.is_some_and(|kind| kind.is_float() && kind != DataType::Float) {
            return read;
        }
        let cast = self.fresh_name("float32");
        let node = Node::new("Cast", cast.clone(), &[&read], &[&cast]);
        self.patch.nodes.push(node.with(Attribute::from_int("to", DataType::Float as i64)));
        self.casts.insert(tensor.to_owned(), cast.clone());
        cast
    }

    fn fresh_name(&mut self, what: &str) -> String {
        self.made += 1;
        format!("whycam.{}.{what}", self.made)
    }

    /// Adds a node of one output and returns that output's name.
    pub fn emit(&mut self, op: &str, inputs: &[&str], attributes: Vec<Attribute>) -> String {
        let output = self.fresh_name(op);
        self.emit_as(&output, op, inputs, attributes);
        output
    }

    /// As [`Backward::emit`], with a name of one's own for the output.
    pub fn emit_as(&mut self, output: &str, op: &str, inputs: &[&str], attributes: Vec<Attribute>) {
        let of_any_type = matches!(op, "Shape" | "Size");
        let inputs: Vec<String> =
            inputs.iter().map(|i| if of_any_type { (*i).to_owned() } else { self.reading(i) }).collect();
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let mut node = Node::new(op, output, &inputs, &[output]);
        node.attribute = attributes;
        self.patch.nodes.push(node);
    }

    /// The `count` largest numbers along the last axis, and their places.
    pub fn top_k(&mut self, tensor: &str, count: &str) -> (String, String) {
        let [values, places] = ["largest", "places"].map(|what| self.fresh_name(what));
        let tensor = self.reading(tensor);
        self.patch.nodes.push(Node::new("TopK", values.as_str(), &[&tensor, count], &[&values, &places]));
        (values, places)
    }

    /// Gives a tensor of the backward pass another name.
    pub fn rename(&mut self, from: &str, to: &str) {
        for name in self.patch.nodes.iter_mut().flat_map(|n| n.input.iter_mut().chain(&mut n.output)) {
            if name == from {
                to.clone_into(name);
            }
        }
    }

    /// A one-dimensional int64 constant.
    pub fn int64s(&mut self, values: &[i64]) -> String {
        let name = self.fresh_name("int64s");
        self.patch.initializers.push(Tensor::from_i64s(&name, &[values.len() as i64], values));
        name
    }

    /// An int64 scalar.
    pub fn int64(&mut self, value: i64) -> String {
        let name = self.fresh_name("int64");
        self.patch.initializers.push(Tensor::from_i64s(&name, &[], &[value]));
        name
    }

    /// A float32 constant.
    pub fn floats(&mut self, dims: &[i64], values: &[f32]) -> String {
        let name = self.fresh_name("floats");
        self.patch.initializers.push(Tensor::from_f32s(&name, dims, values));
        name
    }

    /// A float32 scalar.
    pub fn scalar(&mut self, value: f32) -> String {
        let name = self.fresh_name("scalar");
        self.patch.initializers.push(Tensor::from_f32s(&name, &[], &[value]));
        name
    }

    /// The sum of one or more tensors of one shape.
    pub fn sum(&mut self, parts: Vec<String>) -> String {
        match <[String; 1]>::try_from(parts) {
            Ok([only]) => only,
            Err(parts) => {
                let inputs: Vec<&str> = parts.iter().map(String::as_str).collect();
                self.emit("Sum", &inputs, vec![])
            }
        }
    }

    /// `tensor` in the shape of `like`, a tensor of the forward graph. In a later run the batch may be
    /// another, which is the first axis, or for tokens in front the second.
    pub fn reshape_like(&mut self, tensor: &str, like: &str) -> String {
        let shape = match self.tensors.get(like) {
            Some(info) if info.shape.len() == 2 || info.shape.get(1).is_some_and(|&d| d > 1) => {
                let rest = info.shape[1..].iter().map(|&d| d as i64);
                let shape: Vec<i64> = std::iter::once(-1).chain(rest).collect();
                self.int64s(&shape)
            }
            _ => self.emit("Shape", &[like], vec![]),
        };
        self.emit("Reshape", &[tensor, &shape], vec![])
    }

    /// The shape of a tensor of the forward graph.
    ///
    /// # Errors
    /// The shape could not be found out.
    pub fn shape(&self, tensor: &str) -> Result<&'m [usize]> {
        self.tensors
            .get(tensor)
            .map(|t| t.shape.as_slice())
            .ok_or_else(|| self.model.error(format!("the shape of {tensor} could not be found out")))
    }

    /// The second or later output `output` of the forward node at `place`, added where the model
    /// does not ask for it.
    pub fn extra_output(&mut self, place: usize, output: usize) -> String {
        let node = &self.model.graph().node[place];
        if let Some(name) = node.output.get(output).filter(|name| !name.is_empty()) {
            return name.clone();
        }
        let asked = self.patch.extra_outputs.iter().find(|(p, o, _)| (*p, *o) == (place, output));
        if let Some((_, _, name)) = asked {
            return name.clone();
        }
        let name = self.fresh_name("output");
        self.patch.extra_outputs.push((place, output, name.clone()));
        name
    }
}

/// One question to a rule: the gradient of `node` with respect to its input number `input`.
pub struct Vjp<'v, 'm> {
    pub node: &'m Node,
    pub place: usize,
    pub input: usize,
    /// The gradients that reached the node's outputs.
    pub grads: &'v [Option<String>],
    pub backward: &'v mut Backward<'m>,
}

impl<'m> Vjp<'_, 'm> {
    /// The gradient of the first output.
    ///
    /// # Errors
    /// None reached it, which only a node whose other outputs are used can see.
    pub fn grad(&self) -> Result<String> {
        self.grads[0].clone().ok_or_else(|| self.error("only its first output has a gradient rule"))
    }

    /// The name of an input.
    ///
    /// # Errors
    /// The node has no such input.
    pub fn input_name(&self, input: usize) -> Result<&'m str> {
        self.node
            .input
            .get(input)
            .map(String::as_str)
            .filter(|name| !name.is_empty())
            .ok_or_else(|| self.error(format!("it lacks input {input}")))
    }

    /// The name of the input that the gradient is asked for.
    pub fn wanted(&self) -> &'m str {
        &self.node.input[self.input]
    }

    pub fn output_name(&self) -> &'m str {
        &self.node.output[0]
    }

    pub fn input_shape(&self, input: usize) -> Result<&'m [usize]> {
        self.backward.shape(self.input_name(input)?)
    }

    pub fn output_shape(&self) -> Result<&'m [usize]> {
        self.backward.shape(self.output_name())
    }

    /// The type of a tensor's numbers, where it is known.
    pub fn kind(&self, tensor: &str) -> Option<DataType> {
        self.backward.tensors.get(tensor)?.kind
    }

    pub fn emit(&mut self, op: &str, inputs: &[&str], attributes: Vec<Attribute>) -> String {
        self.backward.emit(op, inputs, attributes)
    }

    pub fn error(&self, problem: impl ToString) -> Error {
        Error::Rule { op: self.node.op().to_owned(), node: self.node.label().to_owned(), problem: problem.to_string() }
    }

    /// An error for a form that the rule leaves out, with the way round it.
    pub fn unsupported(&self, form: &str) -> Error {
        self.error(format!("no gradient rule for {form}; choose a layer behind it with --layer"))
    }

    /// Sums `gradient`, which has the output's shape, over the axes along which the wanted input
    /// was broadcast (<https://github.com/onnx/onnx/blob/main/docs/Broadcasting.md>).
    pub fn unbroadcast(&mut self, gradient: String) -> Result<String> {
        let output = self.output_shape()?;
        self.unbroadcast_from(gradient, output)
    }

    /// As [`Vjp::unbroadcast`], for a gradient of the shape `full`.
    pub fn unbroadcast_from(&mut self, gradient: String, full: &[usize]) -> Result<String> {
        let input = self.input_shape(self.input)?;
        if input == full {
            return Ok(gradient);
        }
        let lead = full.len() - input.len();
        let axes: Vec<i64> = (0..full.len())
            .filter(|&axis| axis < lead || (input[axis - lead] == 1 && full[axis] != 1))
            .map(|axis| axis as i64)
            .collect();
        let axes = self.backward.int64s(&axes);
        let summed = self.emit("ReduceSum", &[&gradient, &axes], vec![Attribute::from_int("keepdims", 1)]);
        Ok(self.backward.reshape_like(&summed, self.wanted()))
    }
}
