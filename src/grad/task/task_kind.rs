//! The tasks.

use std::fmt;

use serde::Serialize;

use super::detect::Detection;
use super::find_row::{find_row, find_tokens};
use super::outputs::Outputs;
use super::score_row::ScoreRow;
use super::segment::{Segmentation, find_segments};
use crate::error::{Error, Result};
use crate::grad::augment::{CLASS_INDEX, LOGITS};
use crate::grad::graph_writer::GraphWriter;
use crate::onnx::proto::ValueInfo;
use crate::onnx::{DataType, OnnxModel, Tensors};

/// What a model's outputs mean: one variant a task.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Task {
    /// One picture, one score a class.
    Classify(ScoreRow),
    /// Boxes with classes.
    Detect(Detection),
    /// A class for each pixel.
    Segment(Segmentation),
    /// A vector, or its likeness to references.
    Embed(ScoreRow),
    /// Quantities.
    Value(ScoreRow),
}

/// The names of tasks that can be asked for.
pub const TASKS: &[&str] = &["classify", "detect", "segment", "embed", "value"];

/// How a model's outputs are searched.
#[derive(Clone, Copy, Debug, Default)]
pub struct Search<'a> {
    /// The task, whatever the outputs look like.
    pub task: Option<&'a str>,
    /// The output to take, whatever it looks like.
    pub output: Option<&'a str>,
    /// An output that holds something else.
    pub not: Option<&'a str>,
    /// The number of labels. If there are any, the model is about classes.
    pub labels: usize,
    /// Whether the picture comes in as `[N,h,w,C]`.
    pub channels_last: bool,
}

impl Search<'_> {
    /// The outputs that come into question.
    ///
    /// # Errors
    /// None has the name that is searched for.
    pub(super) fn considered<'m>(&self, model: &'m OnnxModel) -> Result<Vec<&'m str>> {
        let outputs: Vec<&str> = model.graph().output.iter().map(ValueInfo::name).collect();
        let considered = |output: &&str| match self.output {
            Some(wanted) => *output == wanted,
            None => self.not != Some(*output),
        };
        let considered: Vec<&str> = outputs.iter().copied().filter(considered).collect();
        match self.output.filter(|_| considered.is_empty()) {
            Some(name) => {
                let known = format!("the model has {}", outputs.join(", "));
                Err(Error::Unknown { what: "output", name: name.to_owned(), known })
            }
            None => Ok(considered),
        }
    }
}

impl Task {
    /// Finds what the outputs of a model mean that is no detector, and what a user should know of how that was found.
    ///
    /// # Errors
    /// No output has a known form, nothing tells which one is meant, or none has the name that is searched for.
    pub fn find(model: &OnnxModel, tensors: &Tensors, search: Search) -> Result<(Self, Vec<String>)> {
        let outputs = Outputs::new(model, tensors, search.channels_last);
        let segments = || Ok(find_segments(&outputs, search)?.map(|(found, notices)| (Self::Segment(found), notices)));
        match search.task {
            Some("segment") => segments()?.ok_or_else(|| {
                let each = model
                    .graph()
                    .output
                    .iter()
                    .map(|output| format!("{} {:?}", output.name(), outputs.shape(output.name())));
                let given = each.collect::<Vec<_>>().join(", ");
                model.error(format!("none of its outputs holds scores [N,K,h,w] of pixels: {given}"))
            }),
            Some(_) => match find_row(&outputs, search) {
                Err(refusal) => find_tokens(&outputs, search)?.ok_or(refusal),
                found => found,
            },
            // A classifier may give feature maps, too.
            None => match find_row(&outputs, search) {
                Ok((task, mut notices)) => {
                    if let Some((Self::Segment(mask), _)) = segments()?.filter(|_| search.output.is_none()) {
                        notices.push(format!("the model also gives {mask}; --task segment explains it"));
                    }
                    Ok((task, notices))
                }
                Err(refusal) => match segments()? {
                    Some(found) => Ok(found),
                    None => find_tokens(&outputs, search)?.ok_or(refusal),
                },
            },
        }
    }

    /// The numbers of a row, for a task that has one.
    pub fn as_row(&self) -> Option<&ScoreRow> {
        match self {
            Self::Classify(row) | Self::Embed(row) | Self::Value(row) => Some(row),
            Self::Detect(_) | Self::Segment(_) => None,
        }
    }

    /// The detection; `None` for another task.
    pub fn as_detection(&self) -> Option<&Detection> {
        match self {
            Self::Detect(detection) => Some(detection),
            _ => None,
        }
    }

    /// The segmentation; `None` for another task.
    pub fn as_segmentation(&self) -> Option<&Segmentation> {
        match self {
            Self::Segment(segmentation) => Some(segmentation),
            _ => None,
        }
    }

    /// Renames the tensor that the scores are made of.
    pub fn rename(&mut self, old: &str, new: &str) {
        let logits = match self {
            Self::Classify(row) | Self::Embed(row) | Self::Value(row) => &mut row.logits,
            Self::Segment(segmentation) => &mut segmentation.logits,
            Self::Detect(_) => return,
        };
        if logits == old {
            new.clone_into(logits);
        }
    }

    /// The task's name, one of [`TASKS`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::Classify(_) => "classify",
            Self::Detect(_) => "detect",
            Self::Segment(_) => "segment",
            Self::Embed(_) => "embed",
            Self::Value(_) => "value",
        }
    }

    /// The tensor that every score of this task is made of; layers lie between the input and this tensor.
    pub fn tensor(&self) -> &str {
        match self {
            Self::Classify(row) | Self::Embed(row) | Self::Value(row) => &row.logits,
            Self::Detect(_) => Detection::LOGITS,
            Self::Segment(segmentation) => &segmentation.logits,
        }
    }

    /// The outputs of an augmented model that say what it predicts.
    pub fn outputs(&self) -> &'static [&'static str] {
        match self {
            Self::Detect(detection) => detection.outputs(),
            _ => &[LOGITS],
        }
    }

    /// The shape `[N,…]` of those outputs with -1 for the batch, where it is the same for all models.
    pub fn output_dims(&self) -> Option<Vec<i64>> {
        match self {
            Self::Classify(row) | Self::Embed(row) | Self::Value(row) => Some(vec![-1, row.classes as i64]),
            Self::Detect(_) => None,
            Self::Segment(Segmentation { classes, height, width, .. }) => {
                Some([&[-1], [*classes, *height, *width].map(|length| length as i64).as_slice()].concat())
            }
        }
    }

    /// Whether the model already has those outputs.
    pub fn has_outputs(&self, model: &OnnxModel, tensors: &Tensors) -> bool {
        match self {
            Self::Classify(row) | Self::Embed(row) | Self::Value(row) => row.has_output(model, tensors),
            Self::Detect(detection) => detection.has_outputs(model),
            Self::Segment(segmentation) => segmentation.has_output(model, tensors),
        }
    }

    /// Writes those outputs, where they are no tensors of the model yet.
    ///
    /// # Errors
    /// The shape of the scores is unknown.
    pub fn write_outputs(&self, writer: &GraphWriter) -> Result<()> {
        match self {
            Self::Classify(row) | Self::Embed(row) | Self::Value(row) => return row.write_output(writer),
            Self::Detect(_) => {}
            Self::Segment(segmentation) => segmentation.write_output(writer),
        }
        Ok(())
    }

    /// The output of the layers after a target that holds a row of scores for each picture.
    pub fn row_output(&self) -> &'static str {
        match self {
            Self::Classify(_) | Self::Embed(_) | Self::Value(_) => LOGITS,
            Self::Detect(_) => Detection::ROW,
            Self::Segment(_) => Segmentation::ROW,
        }
    }

    /// The numbers of a row of scores, which [`Task::write_row`] writes.
    pub fn row_length(&self) -> usize {
        match self {
            Self::Classify(row) | Self::Embed(row) | Self::Value(row) => row.classes,
            Self::Detect(detection) => detection.entries,
            Self::Segment(segmentation) => segmentation.count(),
        }
    }

    /// Writes the output [`Task::row_output`] `[N,L]`, unless the model has it.
    ///
    /// # Errors
    /// The shape of the scores is unknown.
    pub fn write_row(&self, writer: &GraphWriter) -> Result<()> {
        match self {
            Self::Classify(row) | Self::Embed(row) | Self::Value(row) if row.logits == LOGITS => {}
            Self::Classify(row) | Self::Embed(row) | Self::Value(row) => return row.write_output(writer),
            Self::Detect(detection) => detection.write_row(writer, Detection::ROW),
            Self::Segment(segmentation) => segmentation.write_row(writer, Segmentation::ROW),
        }
        Ok(())
    }

    /// The added input that says what is explained, and its shape: -1 for the batch, and -2 for a second free length.
    pub fn index_input(&self) -> (&'static str, &'static [i64]) {
        match self {
            Self::Detect(_) => (Detection::INDEX, &[-1, -2]),
            _ => (CLASS_INDEX, &[-1]),
        }
    }

    /// The tensor at which an augmented model is cut in two: the first part runs once for a picture, the second once for each
    /// map. With its type and shape; `None` where one run does both.
    pub fn cut(&self) -> Option<(&'static str, DataType, Vec<i64>)> {
        match self {
            Self::Detect(_) => Some((Detection::ENTRIES, DataType::Int64, vec![-1, -2])),
            Self::Segment(_) => Some((Segmentation::SEED, DataType::Float, self.output_dims()?)),
            Self::Classify(_) | Self::Embed(_) | Self::Value(_) => None,
        }
    }

    /// The number of classes that labels name.
    pub fn classes(&self) -> usize {
        match self {
            Self::Classify(row) | Self::Embed(row) | Self::Value(row) => row.classes,
            Self::Detect(detection) => detection.classes,
            Self::Segment(segmentation) => segmentation.classes,
        }
    }

    /// What [`Task::tensor`] holds.
    pub fn tensor_kind(&self) -> &'static str {
        match self {
            Self::Classify(_) => "logits",
            Self::Detect(_) => "boxes",
            Self::Segment(_) => "mask",
            Self::Embed(_) => "vector",
            Self::Value(_) => "value",
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Classify(row) | Self::Embed(row) | Self::Value(row) => row.fmt(f),
            Self::Detect(detection) => detection.fmt(f),
            Self::Segment(segmentation) => segmentation.fmt(f),
        }
    }
}
