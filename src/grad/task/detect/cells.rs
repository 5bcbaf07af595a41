//! Which cell of which map each anchor stands for.

use super::moves::Moves;

/// The cell of an anchor, and its number among the anchors of that cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    pub row: usize,
    pub column: usize,
    /// Pixels of the input from cell to cell, `[down, across]`.
    pub stride: [f32; 2],
    pub anchor: usize,
}

impl Cell {
    /// The cell of a map `[N,C,h,w]` that a score comes from, where an anchor has `classes` scores. `input` is the height and
    /// width of the model's input. `None` if it comes from something else.
    pub fn of_score<'m>(
        moves: &Moves<'m>,
        scores: &'m str,
        at: &[usize],
        input: [usize; 2],
        classes: usize,
    ) -> Option<Self> {
        let origin = moves.logit_origin(scores, at);
        let ([_, _, height, width], [_, channel, row, column]) = (moves.shape(origin.tensor), origin.at.as_slice())
        else {
            return None;
        };
        let stride = [input[0] as f32 / *height as f32, input[1] as f32 / *width as f32];
        Some(Self { row: *row, column: *column, stride, anchor: channel / classes.max(1) })
    }

    /// Its middle in pixels of the input, `[x, y]`.
    pub fn middle(&self) -> [f32; 2] {
        [(self.column as f32 + 0.5) * self.stride[1], (self.row as f32 + 0.5) * self.stride[0]]
    }
}
