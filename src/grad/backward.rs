//! What a rule sees and what it writes to.

use super::Shapes;
use crate::error::{Error, Result};
use crate::onnx::OnnxModel;
use crate::onnx::proto::{Attribute, Node, Tensor};

/// The backward pass while it is being written.
pub struct Backward<'m> {
    model: &'m OnnxModel,
    shapes: &'m Shapes,
    patch: Patch,
    made: usize,
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
}

impl<'m> Backward<'m> {
    pub fn new(model: &'m OnnxModel, shapes: &'m Shapes) -> Self {
        Self { model, shapes, patch: Patch::default(), made: 0 }
    }

    pub fn into_patch(self) -> Patch {
        self.patch
    }

    fn fresh_name(&mut self, what: &str) -> String {
        self.made += 1;
        format!("whycam.{}.{what}", self.made)
    }

    /// Adds a node of one output and returns that output's name.
    pub fn emit(&mut self, op: &str, inputs: &[&str], attributes: Vec<Attribute>) -> String {
        let output = self.fresh_name(op);
        let mut node = Node::new(op, output.clone(), inputs, &[&output]);
        node.attribute = attributes;
        self.patch.nodes.push(node);
        output
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

    /// `tensor` in the shape of `like`.
    pub fn reshape_like(&mut self, tensor: &str, like: &str) -> String {
        let shape = self.emit("Shape", &[like], vec![]);
        self.emit("Reshape", &[tensor, &shape], vec![])
    }

    /// The shape of a tensor of the forward graph.
    ///
    /// # Errors
    /// The shape could not be found out.
    pub fn shape(&self, tensor: &str) -> Result<&'m [usize]> {
        self.shapes
            .get(tensor)
            .map(Vec::as_slice)
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
