//! The question put to a gradient rule.

use super::graph_writer::GraphWriter;
use super::value::Value;
use crate::error::{Error, Result};
use crate::onnx::proto::Node;
use crate::onnx::{DataType, GraphIndex};

/// The gradient with respect to one input of a node, or `None` where it is zero everywhere.
pub type Gradient<'g> = Result<Option<Value<'g>>>;

/// One vector-Jacobian product: the gradient of `node` with respect to its input number `input`, given the gradients
/// of its outputs.
#[derive(Clone, Copy)]
pub struct Vjp<'g> {
    pub node: &'g Node,
    /// The node's index in the graph.
    pub index: usize,
    pub input: usize,
    /// For relevance: the inputs whose values depend on what the walk leads to, in ascending order.
    pub variable: &'g [usize],
    /// The tensor that the walk leads to.
    pub target: &'g str,
    /// The tensor that the walk begins at.
    pub output: &'g str,
    /// Whether a gradient may be infinite, or no number, where another value is 0.
    pub infinite: bool,
    /// Whether relevance is passed on, and not the gradient.
    pub relevance: bool,
    /// The forward graph.
    pub graph: &'g GraphIndex<'g>,
    /// The gradients of the node's outputs.
    pub grads: &'g [Option<Value<'g>>],
    pub writer: &'g GraphWriter<'g>,
}

impl<'g> Vjp<'g> {
    /// `dy`, the gradient of the first output.
    ///
    /// # Errors
    /// Only another output has a gradient.
    pub fn dy(self) -> Result<Value<'g>> {
        self.grads[0].ok_or_else(|| self.error("only its first output has a gradient rule"))
    }

    /// `dx = dy slope`.
    pub fn chain(self, slope: Value<'g>) -> Gradient<'g> {
        Ok(Some(self.dy()? * slope))
    }

    /// `gradient` where active, else 0. ONNX Runtime multiplies about 30 times as fast as it chooses, but 0 times ∞ or what is
    /// no number is no number.
    pub fn masked(self, gradient: Value<'g>, active: Value<'g>) -> Value<'g> {
        if self.infinite { active.choose(gradient, 0.0) } else { gradient * active.to_float() }
    }

    /// `x`, the input that the gradient is taken with respect to.
    pub fn x(self) -> Value<'g> {
        self.writer.tensor(self.x_name())
    }

    /// `y`, the first output.
    pub fn y(self) -> Value<'g> {
        self.writer.tensor(self.y_name())
    }

    /// An input by its number.
    ///
    /// # Errors
    /// The node has no such input.
    pub fn operand(self, input: usize) -> Result<Value<'g>> {
        self.operand_name(input).map(|name| self.writer.tensor(name))
    }

    pub fn x_name(self) -> &'g str {
        &self.node.input[self.input]
    }

    pub fn y_name(self) -> &'g str {
        &self.node.output[0]
    }

    /// The name of an input.
    ///
    /// # Errors
    /// The node has no such input.
    pub fn operand_name(self, input: usize) -> Result<&'g str> {
        let name = self.node.input.get(input).map(String::as_str).filter(|name| !name.is_empty());
        name.ok_or_else(|| self.error(format!("it lacks input {input}")))
    }

    /// The shape of an input.
    ///
    /// # Errors
    /// The node has no such input, or its shape is unknown.
    pub fn operand_shape(self, input: usize) -> Result<&'g [usize]> {
        self.writer.shape(self.operand_name(input)?)
    }

    /// The shape of `x`.
    ///
    /// # Errors
    /// It is unknown.
    pub fn x_shape(self) -> Result<&'g [usize]> {
        self.operand_shape(self.input)
    }

    /// The shape of `y`.
    ///
    /// # Errors
    /// It is unknown.
    pub fn y_shape(self) -> Result<&'g [usize]> {
        self.writer.shape(self.y_name())
    }

    /// The type of a tensor's numbers, where it is known.
    pub fn kind(self, tensor: &str) -> Option<DataType> {
        self.writer.kind(tensor)
    }

    /// A float attribute, or its default.
    pub fn float(self, name: &str, default: f32) -> f32 {
        self.node.float(name).unwrap_or(default)
    }

    /// An integer attribute, or its default.
    pub fn int(self, name: &str, default: i64) -> i64 {
        self.node.int(name).unwrap_or(default)
    }

    /// The attribute `axis` as an index below `rank`.
    pub fn axis(self, default: i64, rank: usize) -> i64 {
        self.int("axis", default).rem_euclid((rank as i64).max(1))
    }

    /// A one-dimensional int64 constant.
    pub fn int64s(self, values: &[i64]) -> Value<'g> {
        self.writer.int64s(values)
    }

    /// Zeros in the shape of a tensor.
    pub fn zeros_like(self, tensor: Value<'g>) -> Value<'g> {
        self.writer.scalar(0.0).expand(tensor.shape())
    }

    /// An error about this node.
    pub fn error(self, problem: impl ToString) -> Error {
        Error::Rule { op: self.node.op().to_owned(), node: self.node.label().to_owned(), problem: problem.to_string() }
    }

    /// An error for a form of the op that the rule does not cover.
    pub fn unsupported(self, form: &str) -> Error {
        self.error(format!("no gradient rule for {form}"))
    }

    /// Sums `gradient`, which has the output's shape, over the axes along which `x` was broadcast
    /// (<https://github.com/onnx/onnx/blob/main/docs/Broadcasting.md>).
    pub fn unbroadcast(self, gradient: Value<'g>) -> Gradient<'g> {
        self.unbroadcast_from(gradient, self.y_shape()?)
    }

    /// As [`Vjp::unbroadcast`], for a gradient of the shape `full`.
    pub fn unbroadcast_from(self, gradient: Value<'g>, full: &[usize]) -> Gradient<'g> {
        let x = self.x_shape()?;
        if x == full {
            return Ok(Some(gradient));
        }
        let lead = full.len() - x.len();
        let broadcast = |axis: &usize| *axis < lead || (x[axis - lead] == 1 && full[*axis] != 1);
        let axes: Vec<i64> = (0..full.len()).filter(broadcast).map(|axis| axis as i64).collect();
        Ok(Some(gradient.sum_over(&axes).reshape_like(self.x_name())))
    }
}
