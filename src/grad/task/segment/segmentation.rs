//! Where a segmenter holds the scores of its classes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::grad::augment::LOGITS;
use crate::grad::graph_writer::GraphWriter;
use crate::grad::task::score_row::{Probability, is_copy};
use crate::grad::value::Value;
use crate::onnx::{DataType, OnnxModel, Tensors};

/// A segmenter's logits: a number for each class at each cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segmentation {
    /// The tensor of logits: `[N,K,h,w]`, or `[N,h,w,K]`.
    pub logits: String,
    /// The number of classes; 1 for a mask, whose cells are the object or not.
    pub classes: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    pub channels_last: bool,
    pub probability: Probability,
}

impl Segmentation {
    /// The gradient `[N,K,h,w]` of the score by the logits: 1 at the cells of the explained class, 0 elsewhere. An augmented
    /// model makes it of its own prediction; a run may be given another one.
    pub const SEED: &str = "whycam.seed";
    /// The flattened logits `[N,K*h*w]`, which the layers after a target give.
    pub const ROW: &str = "whycam.row";

    /// The numbers of a picture's logits.
    pub fn count(&self) -> usize {
        self.classes * self.height * self.width
    }

    /// Whether the logits are already an output called [`LOGITS`] of the right form.
    pub fn has_output(&self, model: &OnnxModel, tensors: &Tensors) -> bool {
        let float = tensors.get(LOGITS).is_some_and(|info| info.kind == Some(DataType::Float));
        float && !self.channels_last && is_copy(model, LOGITS, &self.logits)
    }

    /// Writes the output [`LOGITS`], `[N,K,h,w]`.
    pub fn write_output(&self, writer: &GraphWriter) {
        writer.emit_as(LOGITS, "Identity", &[self.in_order(writer)], &[]);
    }

    /// Writes the flattened logits as the output `name`.
    pub fn write_row(&self, writer: &GraphWriter, name: &str) {
        let row = self.in_order(writer).reshape(&[-1, self.count() as i64]);
        writer.emit_as(name, "Identity", &[row], &[]);
    }

    /// The logits as `[N,K,h,w]`.
    fn in_order<'g>(&self, writer: &'g GraphWriter<'g>) -> Value<'g> {
        let logits = writer.tensor(&self.logits);
        if self.channels_last { logits.transpose(&[0, 3, 1, 2]) } else { logits }
    }
}

impl fmt::Display for Segmentation {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { logits, classes, height, width, probability, .. } = self;
        let classes = if *classes == 1 { "a mask".to_owned() } else { format!("{classes} classes") };
        write!(f, "{logits} ({classes} at {width}x{height} cells, {})", probability.name())
    }
}
