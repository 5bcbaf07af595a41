//! Which cell of which map each anchor stands for.

use super::moves::Moves;
use crate::error::Result;
use crate::onnx::OnnxModel;

/// The cell of an anchor, and its number among the anchors of that cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    pub row: usize,
    pub column: usize,
    /// Pixels of the input from cell to cell, `[down, across]`.
    pub stride: [f32; 2],
    pub anchor: usize,
}

/// The cells of the anchors that `scores` holds, where `at` gives the position of an anchor's first score.
/// `input` is the height and width of the model's input, and `classes` the scores of an anchor.
///
/// # Errors
/// They do not come from maps `[N,C,h,w]`.
pub fn cells_of<'m>(
    model: &OnnxModel,
    moves: &Moves<'m>,
    scores: &'m str,
    anchors: usize,
    at: impl Fn(usize) -> Vec<usize>,
    input: [usize; 2],
    classes: usize,
) -> Result<Vec<Cell>> {
    let cell = |anchor: usize| {
        let origin = moves.logit_origin(scores, &at(anchor));
        let ([_, _, height, width], [_, channel, row, column]) = (moves.shape(origin.tensor), origin.at.as_slice())
        else {
            let problem = format!("its boxes need the cells of a map, but {scores} comes from {}", origin.tensor);
            return Err(model.error(problem));
        };
        let stride = [input[0] as f32 / *height as f32, input[1] as f32 / *width as f32];
        Ok(Cell { row: *row, column: *column, stride, anchor: channel / classes.max(1) })
    };
    (0..anchors).map(cell).collect()
}
