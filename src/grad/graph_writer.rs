//! Writing nodes and constants that are then added to a model.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use super::fusion_guards::fusion_guards;
use super::value::Value;
use crate::error::Result;
use crate::onnx::proto::{Attribute, Node, Tensor};
use crate::onnx::{DataType, OnnxModel, Tensors, written_name, written_number};

/// Writes the backward pass of a model, or another extension of its graph.
///
/// Everything it writes is float32: forward tensors of another float type are cast where they are first read.
pub struct GraphWriter<'m> {
    model: &'m OnnxModel,
    tensors: &'m Tensors,
    /// What is read in place of a forward tensor, so that the runtime can still fuse the node that made it.
    guards: HashMap<&'m str, String>,
    /// Whether gradients may have a longer first axis than the forward tensors, whose first axis is 1: one entry for
    /// each class of one picture.
    pub batched_classes: bool,
    written: RefCell<Written>,
}

/// What has been written so far.
#[derive(Default)]
struct Written {
    patch: Patch,
    /// The number in the last generated name.
    last_number: usize,
    names: Vec<String>,
    casts: HashMap<String, String>,
    one_hot: Option<OneHot>,
    /// Whether a gradient may be infinite.
    infinite: bool,
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
    /// Optional outputs of forward nodes that the backward pass reads: node index, output number, name.
    pub extra_outputs: Vec<(usize, usize, String)>,
}

impl Patch {
    /// Adds the nodes and constants to the model that they were written for.
    pub fn apply(self, model: &mut OnnxModel) {
        let graph = model.graph_mut();
        for (index, output, name) in self.extra_outputs {
            let outputs = &mut graph.node[index].output;
            outputs.resize(outputs.len().max(output + 1), String::new());
            outputs[output] = name;
        }
        graph.node.extend(self.nodes);
        graph.initializer.extend(self.initializers);
    }

    /// Drops what no tensor of `wanted` depends on.
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

/// The attributes of a convolution, with other pads.
pub fn with_pads(attributes: &[Attribute], pads: &[i64]) -> Vec<Attribute> {
    let others = attributes.iter().filter(|attribute| attribute.name() != "pads").cloned();
    others.chain([Attribute::from_ints("pads", pads)]).collect()
}

/// The highest number in a name that an earlier writer generated.
fn highest_number(model: &OnnxModel) -> usize {
    let graph = model.graph();
    let made = graph.node.iter().flat_map(|n| n.output.iter().map(String::as_str).chain([n.name()]));
    let names = made.chain(graph.initializer.iter().map(Tensor::name));
    names.filter_map(written_number).max().unwrap_or(0)
}

impl Written {
    fn fresh_name(&mut self, what: &str) -> String {
        self.last_number += 1;
        written_name(self.last_number, what)
    }
}

impl<'m> GraphWriter<'m> {
    pub fn new(model: &'m OnnxModel, tensors: &'m Tensors) -> Self {
        let written = Written { last_number: highest_number(model), ..Written::default() };
        let mut writer =
            Self { model, tensors, guards: HashMap::new(), batched_classes: false, written: RefCell::new(written) };
        let (guards, nodes) = fusion_guards(model.graph(), || writer.written.borrow_mut().fresh_name("sum"));
        writer.guards = guards;
        writer.written.get_mut().patch.nodes = nodes;
        writer
    }

    /// What `wanted` needs of what was written.
    pub fn into_patch(self, wanted: &[&str]) -> Patch {
        let mut patch = self.written.into_inner().patch;
        patch.keep_only(wanted);
        patch
    }

    /// All that was written.
    pub fn into_whole_patch(self) -> Patch {
        self.written.into_inner().patch
    }

    /// Removes and returns the nodes written so far.
    pub fn take_nodes(&self) -> Vec<Node> {
        std::mem::take(&mut self.written.borrow_mut().patch.nodes)
    }

    /// A tensor of the graph by its name; `""` is an optional input that is left out.
    pub fn tensor(&self, name: impl Into<String>) -> Value<'_> {
        let mut written = self.written.borrow_mut();
        written.names.push(name.into());
        Value::new(self, written.names.len() - 1)
    }

    /// The name of a value.
    pub fn name(&self, id: usize) -> String {
        self.written.borrow().names[id].clone()
    }

    /// Adds a node of one output.
    pub fn emit(&self, op: &str, inputs: &[Value], attributes: &[Attribute]) -> Value<'_> {
        let output = self.written.borrow_mut().fresh_name(op);
        self.emit_as(&output, op, inputs, attributes)
    }

    /// As [`GraphWriter::emit`], with a given name for the output.
    pub fn emit_as(&self, output: &str, op: &str, inputs: &[Value], attributes: &[Attribute]) -> Value<'_> {
        let of_any_type = matches!(op, "Shape" | "Size");
        let names = inputs.iter().map(Value::name);
        let inputs: Vec<String> = names.map(|name| if of_any_type { name } else { self.readable(&name) }).collect();
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let mut node = Node::new(op, output, &inputs, &[output]);
        node.attribute = attributes.to_vec();
        self.written.borrow_mut().patch.nodes.push(node);
        self.tensor(output)
    }

    /// The tensor that the written graph reads for `tensor`: itself, its fusion guard, or its cast to float32.
    fn readable(&self, tensor: &str) -> String {
        let mut written = self.written.borrow_mut();
        if let Some(cast) = written.casts.get(tensor) {
            return cast.clone();
        }
        let read = self.guards.get(tensor).map_or(tensor, String::as_str).to_owned();
        let kind = self.tensors.get(tensor).and_then(|t| t.kind);
        if !kind.is_some_and(|kind| kind.is_float() && kind != DataType::Float) {
            return read;
        }
        let cast = written.fresh_name("float32");
        let node = Node::new("Cast", cast.clone(), &[&read], &[&cast]);
        written.patch.nodes.push(node.with(Attribute::from_int("to", DataType::Float as i64)));
        written.casts.insert(tensor.to_owned(), cast.clone());
        cast
    }

    /// The `count` largest numbers along the last axis, and their indices.
    pub fn top_k(&self, tensor: Value, count: Value) -> (Value<'_>, Value<'_>) {
        let [values, indices] = ["largest", "indices"].map(|what| self.written.borrow_mut().fresh_name(what));
        let (tensor, count) = (self.readable(&tensor.name()), count.name());
        let node = Node::new("TopK", values.as_str(), &[&tensor, &count], &[&values, &indices]);
        self.written.borrow_mut().patch.nodes.push(node);
        (self.tensor(values), self.tensor(indices))
    }

    /// Gives a tensor that was written another name.
    pub fn rename(&self, from: &str, to: &str) {
        let mut written = self.written.borrow_mut();
        for name in written.patch.nodes.iter_mut().flat_map(|n| n.input.iter_mut().chain(&mut n.output)) {
            if name == from {
                to.clone_into(name);
            }
        }
    }

    fn constant(&self, what: &str, tensor: impl FnOnce(&str) -> Tensor) -> Value<'_> {
        let name = self.written.borrow_mut().fresh_name(what);
        self.written.borrow_mut().patch.initializers.push(tensor(&name));
        self.tensor(name)
    }

    /// A one-dimensional int64 constant.
    pub fn int64s(&self, values: &[i64]) -> Value<'_> {
        self.constant("int64s", |name| Tensor::from_i64s(name, &[values.len() as i64], values))
    }

    /// An int64 scalar.
    pub fn int64(&self, value: i64) -> Value<'_> {
        self.constant("int64", |name| Tensor::from_i64s(name, &[], &[value]))
    }

    /// A float32 constant of the shape `dims`.
    pub fn floats(&self, dims: &[i64], values: &[f32]) -> Value<'_> {
        self.constant("floats", |name| Tensor::from_f32s(name, dims, values))
    }

    /// A float32 scalar.
    pub fn scalar(&self, value: f32) -> Value<'_> {
        self.constant("scalar", |name| Tensor::from_f32s(name, &[], &[value]))
    }

    /// Whether what has been written may be infinite, now that `more` is known of it: one walk may go on from another's result.
    pub fn may_be_infinite(&self, more: bool) -> bool {
        let infinite = &mut self.written.borrow_mut().infinite;
        *infinite |= more;
        *infinite
    }

    /// A convolution that was written, without a margin: `cut` holds how much goes at the beginning and at the end of each
    /// spatial axis. `None` if `value` is no convolution, or one whose pads do not reach so far or whose strides skip.
    pub fn cropped(&self, value: Value, cut: &[i64]) -> Option<Value<'_>> {
        let name = value.name();
        let node =
            self.written.borrow().patch.nodes.iter().rev().find(|node| node.output == [name.as_str()]).cloned()?;
        let pads = node.ints("pads").filter(|pads| pads.len() == cut.len())?.iter().zip(cut);
        let pads: Vec<i64> = match node.op() {
            "Conv" if node.ints("strides").is_none_or(|strides| strides.iter().all(|&stride| stride == 1)) => {
                pads.map(|(pad, cut)| pad - cut).collect()
            }
            "ConvTranspose" => pads.map(|(pad, cut)| pad + cut).collect(),
            _ => return None,
        };
        if pads.iter().any(|&pad| pad < 0) {
            return None;
        }
        let inputs: Vec<Value> = node.input.iter().map(|input| self.tensor(input.as_str())).collect();
        Some(self.emit(node.op(), &inputs, &with_pads(&node.attribute, &pads)))
    }

    /// The sum of one or more tensors of one shape.
    pub fn sum<'w>(&'w self, terms: &[Value<'w>]) -> Value<'w> {
        match terms {
            [only] => *only,
            terms => self.emit("Sum", terms, &[]),
        }
    }

    /// The gradient `[N,K]` of the logits of the classes `class` `[N]`.
    pub fn one_hot(&self, class: Value, classes: usize) -> Value<'_> {
        let gradient = self.emit("OneHot", &[class, self.int64(classes as i64), self.floats(&[2], &[0.0, 1.0])], &[]);
        self.written.borrow_mut().one_hot = Some(OneHot { tensor: gradient.name(), class: class.name() });
        gradient
    }

    /// The classes `[N]` that a gradient made by [`GraphWriter::one_hot`] selects. A product with it is those rows of
    /// the other factor.
    pub fn class_of(&self, gradient: Value) -> Option<Value<'_>> {
        let class = self.written.borrow().one_hot.as_ref().filter(|o| o.tensor == gradient.name())?.class.clone();
        Some(self.tensor(class))
    }

    /// The shape of a tensor of the forward graph.
    ///
    /// # Errors
    /// The shape is unknown.
    pub fn shape(&self, tensor: &str) -> Result<&'m [usize]> {
        self.tensors
            .get(tensor)
            .map(|t| t.shape.as_slice())
            .ok_or_else(|| self.model.error(format!("the shape of {tensor} is unknown")))
    }

    /// The type of a tensor's numbers, where it is known.
    pub fn kind(&self, tensor: &str) -> Option<DataType> {
        self.tensors.get(tensor)?.kind
    }

    /// The values of a short integer constant, where they are known.
    pub fn integers(&self, tensor: &str) -> Option<&'m [i64]> {
        self.tensors.get(tensor)?.integers.as_deref()
    }

    /// The second or later output of the forward node at `index`, added where the model does not ask for it.
    pub fn extra_output(&self, index: usize, output: usize) -> Value<'_> {
        let node = &self.model.graph().node[index];
        if let Some(name) = node.output.get(output).filter(|name| !name.is_empty()) {
            return self.tensor(name.as_str());
        }
        let mut written = self.written.borrow_mut();
        let extra = &written.patch.extra_outputs;
        let known = extra.iter().find(|(i, o, _)| (*i, *o) == (index, output)).map(|(_, _, name)| name.clone());
        let name = known.unwrap_or_else(|| {
            let name = written.fresh_name("output");
            written.patch.extra_outputs.push((index, output, name.clone()));
            name
        });
        drop(written);
        self.tensor(name)
    }
}
