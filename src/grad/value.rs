//! The handle that formulas are written with: operators on it emit nodes.

use std::ops::{Add, Div, Mul, Neg, Not, Sub};

use super::graph_writer::GraphWriter;
use crate::onnx::DataType;
use crate::onnx::proto::Attribute;

/// A tensor of the graph that is being written.
///
/// `a + b`, `1.0 - a`, `a.exp()` and the rest add a node each and return its output, so that
/// `t + (1.0 - t * t) * x.sigmoid()` is both the formula and the nodes.
#[derive(Clone, Copy)]
pub struct Value<'g> {
    writer: &'g GraphWriter<'g>,
    id: usize,
}

/// A value, or a number that becomes a float32 constant.
pub trait Operand<'g> {
    fn on(self, writer: &'g GraphWriter<'g>) -> Value<'g>;
}

impl<'g> Operand<'g> for Value<'g> {
    fn on(self, _: &'g GraphWriter<'g>) -> Self {
        self
    }
}

impl<'g> Operand<'g> for f32 {
    fn on(self, writer: &'g GraphWriter<'g>) -> Value<'g> {
        writer.scalar(self)
    }
}

macro_rules! binary {
    ($trait:ident, $method:ident, $op:literal) => {
        impl<'g, B: Operand<'g>> $trait<B> for Value<'g> {
            type Output = Self;

            fn $method(self, other: B) -> Self {
                self.binary($op, other)
            }
        }

        impl<'g> $trait<Value<'g>> for f32 {
            type Output = Value<'g>;

            fn $method(self, other: Value<'g>) -> Value<'g> {
                self.on(other.writer).binary($op, other)
            }
        }
    };
}

binary!(Add, add, "Add");
binary!(Sub, sub, "Sub");
binary!(Mul, mul, "Mul");
binary!(Div, div, "Div");

impl Neg for Value<'_> {
    type Output = Self;

    fn neg(self) -> Self {
        self.unary("Neg")
    }
}

impl Not for Value<'_> {
    type Output = Self;

    fn not(self) -> Self {
        self.unary("Not")
    }
}

macro_rules! unary {
    ($($method:ident $op:literal),* $(,)?) => {
        /// Element by element.
        impl Value<'_> {
            $(
                #[must_use]
                pub fn $method(self) -> Self {
                    self.unary($op)
                }
            )*
        }
    };
}

unary!(
    abs "Abs",
    cos "Cos",
    erf "Erf",
    exp "Exp",
    log "Log",
    reciprocal "Reciprocal",
    relu "Relu",
    round "Round",
    sigmoid "Sigmoid",
    sign "Sign",
    sin "Sin",
    softplus "Softplus",
    sqrt "Sqrt",
    tanh "Tanh",
);

impl<'g> Value<'g> {
    pub(super) fn new(writer: &'g GraphWriter<'g>, id: usize) -> Self {
        Self { writer, id }
    }

    /// The same value for the whole lifetime of the writer that made it.
    pub(super) fn kept_by<'w>(self, writer: &'w GraphWriter<'w>) -> Value<'w> {
        Value { writer, id: self.id }
    }

    /// The tensor's name in the graph.
    pub fn name(&self) -> String {
        self.writer.name(self.id)
    }

    /// The output of a node `op` with this value as its first input.
    #[must_use]
    pub fn apply(self, op: &str, others: &[Self], attributes: &[Attribute]) -> Self {
        self.writer.emit(op, &[&[self], others].concat(), attributes)
    }

    fn unary(self, op: &str) -> Self {
        self.apply(op, &[], &[])
    }

    fn binary(self, op: &str, other: impl Operand<'g>) -> Self {
        let other = other.on(self.writer);
        self.apply(op, &[other], &[])
    }

    #[must_use]
    pub fn pow(self, exponent: impl Operand<'g>) -> Self {
        self.binary("Pow", exponent)
    }

    #[must_use]
    pub fn matmul(self, right: Self) -> Self {
        self.binary("MatMul", right)
    }

    #[must_use]
    pub fn min(self, other: impl Operand<'g>) -> Self {
        self.binary("Min", other)
    }

    #[must_use]
    pub fn max(self, other: impl Operand<'g>) -> Self {
        self.binary("Max", other)
    }

    /// Whether `self > other`, as a Boolean tensor; the others alike.
    #[must_use]
    pub fn greater(self, other: impl Operand<'g>) -> Self {
        self.binary("Greater", other)
    }

    #[must_use]
    pub fn less(self, other: impl Operand<'g>) -> Self {
        self.binary("Less", other)
    }

    #[must_use]
    pub fn at_least(self, other: impl Operand<'g>) -> Self {
        self.binary("GreaterOrEqual", other)
    }

    #[must_use]
    pub fn at_most(self, other: impl Operand<'g>) -> Self {
        self.binary("LessOrEqual", other)
    }

    #[must_use]
    pub fn equals(self, other: impl Operand<'g>) -> Self {
        self.binary("Equal", other)
    }

    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.binary("And", other)
    }

    /// `yes` where this Boolean tensor is true, else `no`.
    #[must_use]
    pub fn choose(self, yes: impl Operand<'g>, no: impl Operand<'g>) -> Self {
        let (yes, no) = (yes.on(self.writer), no.on(self.writer));
        self.apply("Where", &[yes, no], &[])
    }

    /// As float32.
    #[must_use]
    pub fn to_float(self) -> Self {
        self.apply("Cast", &[], &[Attribute::from_int("to", DataType::Float as i64)])
    }

    /// As int64.
    #[must_use]
    pub fn to_int64(self) -> Self {
        self.apply("Cast", &[], &[Attribute::from_int("to", DataType::Int64 as i64)])
    }

    /// In the type of another tensor.
    #[must_use]
    pub fn cast_like(self, other: Self) -> Self {
        self.binary("CastLike", other)
    }

    /// The axes in another order.
    #[must_use]
    pub fn transpose(self, order: &[i64]) -> Self {
        self.apply("Transpose", &[], &[Attribute::from_ints("perm", order)])
    }

    /// The last two of `rank` axes exchanged.
    #[must_use]
    pub fn swap_last_axes(self, rank: usize) -> Self {
        let mut order: Vec<i64> = (0..rank as i64).collect();
        order.swap(rank - 1, rank - 2);
        self.transpose(&order)
    }

    /// In the given shape; 0 keeps a length and -1 takes what is left.
    #[must_use]
    pub fn reshape(self, shape: &[i64]) -> Self {
        self.reshape_to(self.writer.int64s(shape))
    }

    /// In the shape that an int64 tensor holds.
    #[must_use]
    pub fn reshape_to(self, shape: Self) -> Self {
        self.apply("Reshape", &[shape], &[])
    }

    /// In the shape of `like`, a tensor of the forward graph. In a later run the batch may be another, which is the
    /// first axis, or with tokens in front part of the second.
    #[must_use]
    pub fn reshape_like(self, like: &str) -> Self {
        let shape = match self.writer.shape(like) {
            Ok(shape)
                if shape.len() == 2
                    || shape.get(1).is_some_and(|&d| d > 1) && (shape[0] == 1 || self.writer.batched_classes) =>
            {
                let rest = shape[1..].iter().map(|&d| d as i64);
                self.writer.int64s(&std::iter::once(-1).chain(rest).collect::<Vec<_>>())
            }
            _ => self.writer.tensor(like).shape(),
        };
        self.reshape_to(shape)
    }

    /// The shape, as an int64 tensor.
    #[must_use]
    pub fn shape(self) -> Self {
        self.unary("Shape")
    }

    /// The number of elements, as an int64 scalar.
    #[must_use]
    pub fn size(self) -> Self {
        self.unary("Size")
    }

    /// Broadcast to the shape that an int64 tensor holds.
    #[must_use]
    pub fn expand(self, shape: Self) -> Self {
        self.apply("Expand", &[shape], &[])
    }

    /// The sum over axes, which stay with length 1.
    #[must_use]
    pub fn sum_over(self, axes: &[i64]) -> Self {
        self.apply("ReduceSum", &[self.writer.int64s(axes)], &[])
    }

    /// The sum over axes, which go.
    #[must_use]
    pub fn sum_away(self, axes: &[i64]) -> Self {
        self.apply("ReduceSum", &[self.writer.int64s(axes)], &[Attribute::from_int("keepdims", 0)])
    }

    /// The mean over axes, which stay with length 1.
    #[must_use]
    pub fn mean_over(self, axes: &[i64]) -> Self {
        self.apply("ReduceMean", &[self.writer.int64s(axes)], &[])
    }

    /// With axes of length 1 inserted at these positions.
    #[must_use]
    pub fn unsqueeze(self, axes: &[i64]) -> Self {
        self.apply("Unsqueeze", &[self.writer.int64s(axes)], &[])
    }

    /// `[N,C,…]` with each number repeated along the spatial axes.
    #[must_use]
    pub fn repeated(self, times: &[i64]) -> Self {
        let scales: Vec<f32> = [1, 1].iter().chain(times).map(|&times| times as f32).collect();
        let scales = self.writer.floats(&[scales.len() as i64], &scales);
        let attributes = [
            Attribute::from_string("mode", "nearest"),
            Attribute::from_string("coordinate_transformation_mode", "asymmetric"),
            Attribute::from_string("nearest_mode", "floor"),
        ];
        self.apply("Resize", &[self.writer.tensor(""), scales], &attributes)
    }

    /// The slices at `indices` along an axis.
    #[must_use]
    pub fn gather(self, indices: Self, axis: i64) -> Self {
        self.apply("Gather", &[indices], &[Attribute::from_int("axis", axis)])
    }

    /// From `start` up to `end` along one axis.
    #[must_use]
    pub fn slice(self, start: i64, end: i64, axis: i64) -> Self {
        self.apply("Slice", &[start, end, axis].map(|v| self.writer.int64s(&[v])), &[])
    }

    /// Followed by others along an axis.
    #[must_use]
    pub fn concat(self, others: &[Self], axis: i64) -> Self {
        self.apply("Concat", others, &[Attribute::from_int("axis", axis)])
    }

    /// `exp(x) / Σ exp(x)` along an axis.
    #[must_use]
    pub fn softmax(self, axis: i64) -> Self {
        self.apply("Softmax", &[], &[Attribute::from_int("axis", axis)])
    }
}
