//! What the numbers of a model's boxes are.

use ndarray::{Array2, Axis, Slice};

use super::boxes::BoxForm;
use super::cells::Cell;
use super::find::Reader;
use super::layout::SIDES;
use crate::error::{Error, Result};
use crate::grad::value::Value;

impl<'w, 'm> Reader<'w, 'm> {
    /// The form of boxes `[A,4]` of a run on noise, of which `score` gives the output with the scores and the position of an
    /// anchor's score in it, if there is one for each anchor.
    pub fn form_of(&self, sides: &Array2<f32>, score: impl Fn(usize) -> Option<(&'m str, Vec<usize>)>) -> BoxForm {
        let input = self.hints.input;
        let middle = |anchor: usize| {
            let (scores, at) = score(anchor)?;
            Some(Cell::of_score(&self.moves, scores, &at, input, 1)?.middle())
        };
        let found = BoxForm::of_values(sides.view(), input, &middle);
        match (found, self.hints.reading.box_order) {
            (BoxForm::Decoded { pixels, .. }, Some(order)) => BoxForm::Decoded { order, pixels },
            (found, _) => found,
        }
    }

    /// The boxes `[A,4]` of a run on noise: four columns of an output, from `first` on along `axis`.
    ///
    /// # Errors
    /// The runtime rejects the model.
    pub fn sampled(&self, output: &str, axis: usize, first: usize) -> Result<Array2<f32>> {
        let mut values = (self.hints.sample)(output)?;
        let last = values.ndim() - 1;
        values.swap_axes(axis, last);
        let sides = values.slice_axis(Axis(last), Slice::from(first..first + SIDES));
        let sides = sides.as_standard_layout().into_owned();
        let rows = sides.len() / SIDES;
        sides.into_shape_with_order((rows, SIDES)).map_err(|e| self.model.error(e))
    }

    /// The corners of boxes of a form, `[N,A,4]` in pixels. A form of offsets needs the cells of the anchors.
    ///
    /// # Errors
    /// An option gives an order to boxes that have none.
    pub fn corners(&self, form: BoxForm, boxes: Value<'w>, cells: &[Cell]) -> Result<Value<'w>> {
        if self.hints.reading.box_order.is_some() && !matches!(form, BoxForm::Decoded { .. }) {
            return Err(self.model.error(format!("its boxes are {form}; leave out --box-order")));
        }
        Ok(form.corners(self.writer, boxes, cells, self.hints.input))
    }

    /// Whether a number comes straight from a layer with weights.
    pub fn is_raw(&self, tensor: &'m str, at: &[usize]) -> bool {
        self.moves.is_of_layer(self.moves.origin(tensor, at).tensor)
    }

    /// Whether the layer that a number comes from gives the four sides of a box, and not distributions of them.
    pub fn has_four_channels(&self, output: &'m str, at: &[usize]) -> bool {
        self.moves.shape(self.moves.origin(output, at).tensor).get(1) == Some(&SIDES)
    }

    /// The cells of the anchors that `scores` holds, where `at` gives the position of an anchor's first score.
    ///
    /// # Errors
    /// They do not come from maps `[N,C,h,w]`.
    pub fn cells(
        &self,
        scores: &'m str,
        anchors: usize,
        at: impl Fn(usize) -> Vec<usize>,
        classes: usize,
    ) -> Result<Vec<Cell>> {
        let cells = (0..anchors).map(|anchor| {
            let at = at(anchor);
            let cell = Cell::of_score(&self.moves, scores, &at, self.hints.input, classes);
            cell.ok_or_else(|| {
                let origin = self.moves.logit_origin(scores, &at).tensor;
                self.model.error(format!("its boxes need the cells of a map, but {scores} comes from {origin}"))
            })
        });
        cells.collect()
    }

    pub fn unknown_boxes(&self, output: &str) -> Error {
        let shape = self.moves.shape(output);
        let problem =
            format!("its boxes {output} {shape:?} come straight from a layer, in a form that whycam does not know");
        self.model.error(format!("{problem}; export the model with its boxes decoded"))
    }
}
