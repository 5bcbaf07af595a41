//! Outputs with a row of numbers for each anchor.

use crate::grad::value::Value;

/// An output `[N,A,C]`, or `[N,C,A]` with the anchors last.
#[derive(Clone, Copy)]
pub struct Rows<'m> {
    pub output: &'m str,
    pub anchors_last: bool,
}

impl Rows<'_> {
    /// The axis of the columns.
    pub fn axis(self) -> usize {
        if self.anchors_last { 1 } else { 2 }
    }

    /// Where a number of the first picture lies.
    pub fn at(self, anchor: usize, column: usize) -> Vec<usize> {
        if self.anchors_last { vec![0, column, anchor] } else { vec![0, anchor, column] }
    }

    /// The anchors and the columns of the output, which has this shape.
    pub fn lengths(self, shape: &[usize]) -> [usize; 2] {
        if self.anchors_last { [shape[2], shape[1]] } else { [shape[1], shape[2]] }
    }

    /// A tensor of the output's axes as `[N,A,C]`.
    pub fn turned(self, value: Value<'_>) -> Value<'_> {
        if self.anchors_last { value.transpose(&[0, 2, 1]) } else { value }
    }
}
