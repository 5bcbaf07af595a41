//! Detection: boxes with classes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::grad::graph_writer::GraphWriter;
use crate::grad::task::score_row::Probability;
use crate::onnx::OnnxModel;

/// Where an augmented detector holds what it finds. Every layout is written in this form.
///
/// A dense detector scores every class at every anchor: the scores are `[N,A,K]` and the boxes `[N,A,4]`. One that
/// chooses its detections itself gives a row for each: scores, labels and indices `[N,D]`, boxes `[N,D,4]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// The number of classes, without the background.
    pub classes: usize,
    /// The entry of the background among the scores of an anchor.
    pub background: Option<usize>,
    /// How the logit of a class becomes its probability.
    pub probability: Probability,
    /// Whether only the likeliest class of each box counts.
    pub one_class: bool,
    /// Whether several boxes stand for one object, of which all but the best are suppressed.
    pub overlapping: bool,
    /// Whether the model chooses the detections itself.
    pub chosen: bool,
    /// The entries of the flattened logits of a picture.
    pub entries: usize,
    /// The layout that was recognised, for people.
    pub layout: String,
}

impl Detection {
    /// The logits of the classes, without objectness: `[N,A,K]`, or `[N,T,1]` where the model chooses.
    pub const LOGITS: &str = "whycam.logits";
    /// The model's own scores, 0..=1: `[N,A,K]`, or `[N,D]`.
    pub const SCORES: &str = "whycam.scores";
    /// Left, top, right and bottom in pixels of the model's input: `[N,A,4]`, or `[N,D,4]`.
    pub const BOXES: &str = "whycam.boxes";
    /// The class of each row, where the model chooses.
    pub const LABELS: &str = "whycam.labels";
    /// The entry of the flattened logits that each row stands for, where the model chooses.
    pub const INDICES: &str = "whycam.indices";
    /// The added input: int64 `[N,S]`, entries of the flattened logits of a picture, whose sum is explained; or -1 for the
    /// best detection.
    pub const INDEX: &str = "detection_index";

    /// The entries that are explained, int64 `[N,S]`: [`Detection::INDEX`] with -1 replaced.
    pub const ENTRIES: &str = "whycam.entries";

    /// The flattened logits `[N,T]`, which the layers after a target give.
    pub const ROW: &str = "whycam.row";

    /// The tensors that hold what is found.
    pub fn outputs(&self) -> &'static [&'static str] {
        let all: &[&str] = &[Self::LOGITS, Self::SCORES, Self::BOXES, Self::LABELS, Self::INDICES];
        if self.chosen { all } else { &all[..3] }
    }

    /// Whether the model already has the outputs, and not the tensors alone.
    pub fn has_outputs(&self, model: &OnnxModel) -> bool {
        let outputs = &model.graph().output;
        self.outputs().iter().all(|name| outputs.iter().any(|output| output.name() == *name))
    }

    /// Writes the flattened logits `[N,T]` as the output `name`.
    pub fn write_row(&self, writer: &GraphWriter, name: &str) {
        let logits = writer.tensor(Self::LOGITS).reshape(&[-1, self.entries as i64]);
        writer.emit_as(name, "Identity", &[logits], &[]);
    }

    /// The entries of the scores of an anchor.
    pub fn columns(&self) -> usize {
        self.classes + usize::from(self.background.is_some())
    }

    /// The class of an entry of an anchor's scores; `None` for the background.
    pub fn class_of(&self, column: usize) -> Option<usize> {
        match self.background {
            Some(background) if column == background => None,
            Some(background) if column > background => Some(column - 1),
            _ => Some(column),
        }
    }
}

impl fmt::Display for Detection {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { classes, probability, layout, .. } = self;
        write!(f, "{layout} ({classes} classes, {})", probability.name())
    }
}
