//! What a rewriting is written with.

use std::collections::HashSet;

use crate::onnx::proto::{Attribute, Node, Tensor};

/// Axes `[N,C,h,w]` from `[N,h,w,C]`, and back.
pub const TO_CHANNELS_FIRST: [i64; 4] = [0, 3, 1, 2];
pub const TO_CHANNELS_LAST: [i64; 4] = [0, 2, 3, 1];

/// The rewriting of one node.
pub struct Lowering<'n> {
    pub node: &'n Node,
    /// The nodes before it.
    earlier: &'n [Node],
    weights: &'n [Tensor],
    /// Whether the model computes in more than one float type.
    mixed: bool,
    taken: &'n mut HashSet<String>,
    nodes: Vec<Node>,
    constants: Vec<Tensor>,
}

impl<'n> Lowering<'n> {
    /// `earlier` are the nodes before it, and `taken` the names that tensors have; `mixed` says that the model computes in
    /// more than one float type.
    pub fn new(
        node: &'n Node,
        earlier: &'n [Node],
        weights: &'n [Tensor],
        mixed: bool,
        taken: &'n mut HashSet<String>,
    ) -> Self {
        Self { node, earlier, weights, mixed, taken, nodes: Vec::new(), constants: Vec::new() }
    }

    /// The nodes and constants that were written.
    pub fn written(self) -> (Vec<Node>, Vec<Tensor>) {
        (self.nodes, self.constants)
    }

    /// An input of the node; `None` where it is left out.
    pub fn input(&self, number: usize) -> Option<&'n str> {
        self.node.input.get(number).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The node before it that makes a tensor.
    pub fn producer(&self, tensor: &str) -> Option<&'n Node> {
        self.earlier.iter().find(|node| node.output.iter().any(|output| output == tensor))
    }

    /// The shape of an input that is an initializer or comes from a `Constant`.
    pub fn weight_shape(&self, number: usize) -> Option<&'n [i64]> {
        let name = self.input(number)?;
        let made = || self.producer(name).filter(|node| node.op() == "Constant")?.attribute("value")?.t.as_ref();
        self.weights.iter().find(|t| t.name() == name).or_else(made).map(|t| t.dims.as_slice())
    }

    pub fn float(&self, name: &str, default: f32) -> f32 {
        self.node.float(name).unwrap_or(default)
    }

    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.node.int(name).unwrap_or(default)
    }

    /// Those of the node's attributes that have these names.
    pub fn attributes(&self, names: &[&str]) -> Vec<Attribute> {
        self.node.attribute.iter().filter(|a| names.contains(&a.name())).cloned().collect()
    }

    /// The attributes of a window, which convolution and pooling share.
    pub fn window(&self) -> Vec<Attribute> {
        let names =
            ["auto_pad", "ceil_mode", "count_include_pad", "dilations", "group", "kernel_shape", "pads", "strides"];
        self.attributes(&names)
    }

    /// Writes a node, and returns its output. `""` is an input that is left out.
    pub fn write(&mut self, op: &str, inputs: &[&str], attributes: &[Attribute]) -> String {
        let output = self.fresh_name(op);
        self.write_as(&output, op, inputs, attributes);
        output
    }

    /// Writes a `Transpose`, and returns its output.
    pub fn transpose(&mut self, x: &str, order: &[i64]) -> String {
        self.write("Transpose", &[x], &[Attribute::from_ints("perm", order)])
    }

    /// Writes a node whose output is the first of the rewritten node.
    #[expect(clippy::unnecessary_wraps, reason = "it ends a rewriting, which may fail before")]
    pub fn finish(&mut self, op: &str, inputs: &[&str], attributes: &[Attribute]) -> Option<()> {
        self.write_output(0, op, inputs, attributes);
        Some(())
    }

    /// Writes a node whose output is one of the rewritten node's, if that has it.
    pub fn write_output(&mut self, number: usize, op: &str, inputs: &[&str], attributes: &[Attribute]) {
        let node = self.node;
        if let Some(output) = node.output.get(number).filter(|output| !output.is_empty()) {
            self.write_as(output, op, inputs, attributes);
        }
    }

    /// Quantises `x` by its own range. Returns the numbers, their scale and their zero point.
    pub fn write_dynamic_quantizer(&mut self, x: &str) -> [String; 3] {
        let outputs = ["quantized", "scale", "zero_point"].map(|what| self.fresh_name(what));
        let names = outputs.each_ref().map(String::as_str);
        self.nodes.push(Node::new("DynamicQuantizeLinear", names[0], &[x], &names));
        outputs
    }

    fn write_as(&mut self, output: &str, op: &str, inputs: &[&str], attributes: &[Attribute]) {
        let given = inputs.iter().rposition(|input| !input.is_empty()).map_or(0, |last| last + 1);
        let mut node = Node::new(op, format!("{output}.{op}"), &inputs[..given], &[output]);
        node.attribute = attributes.to_vec();
        self.nodes.push(node);
    }

    /// A float constant in the type of the node's first input.
    pub fn number(&mut self, value: f32) -> String {
        self.floats(&[], &[value])
    }

    /// A constant float tensor in the type of the node's first input.
    pub fn floats(&mut self, dims: &[i64], values: &[f32]) -> String {
        let name = self.fresh_name("constant");
        self.constants.push(Tensor::from_f32s(&name, dims, values));
        match self.input(0).filter(|_| self.mixed) {
            Some(x) => self.write("CastLike", &[&name, x], &[]),
            None => name,
        }
    }

    /// A constant int64 vector.
    pub fn integers(&mut self, values: &[i64]) -> String {
        let name = self.fresh_name("constant");
        self.constants.push(Tensor::from_i64s(&name, &[values.len() as i64], values));
        name
    }

    fn fresh_name(&mut self, what: &str) -> String {
        let base = self.node.output.iter().find(|output| !output.is_empty()).map_or("", String::as_str);
        let name = |number: usize| match number {
            1 => format!("{base}/{what}"),
            number => format!("{base}/{what}.{number}"),
        };
        let mut number = 1;
        while self.taken.contains(&name(number)) {
            number += 1;
        }
        let free = name(number);
        self.taken.insert(free.clone());
        free
    }
}
