//! The scores.

use super::{class, contrast, detection, rivals, segment};
use crate::error::Result;
use crate::grad::graph_writer::GraphWriter;
use crate::grad::task::Task;
use crate::grad::value::Value;

/// The scalar whose gradient is taken: one variant a score, one file a variant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Score {
    /// The logit of the class, or the sum of those of detections or cells.
    #[default]
    Class,
    /// That number, negated: what makes a value fall.
    Decrease,
    /// That logit less the mean of the three nearest ones.
    Rivals,
    /// That logit less the logit of another class.
    Contrast { against: usize },
}

impl Score {
    /// The gradient of the score by [`Task::tensor`], in the shape of that tensor: where the reverse walk begins.
    ///
    /// # Errors
    /// The shape of the tensor is unknown.
    pub fn seed<'g>(self, writer: &'g GraphWriter<'g>, task: &Task) -> Result<Value<'g>> {
        let seed = match task {
            Task::Classify(row) | Task::Embed(row) | Task::Value(row) => self.class_seed(writer, row.classes),
            Task::Detect(found) => return Ok(detection::seed(writer, found)),
            Task::Segment(segmentation) => return Ok(segment::seed(writer, segmentation)),
        };
        let flat = writer.shape(task.tensor())?.len() == 2;
        Ok(if flat { seed } else { seed.reshape_like(task.tensor()) })
    }

    /// The gradient by the logits, `[N,K]`.
    fn class_seed<'g>(self, writer: &'g GraphWriter<'g>, classes: usize) -> Value<'g> {
        let own = class::seed(writer, classes);
        match self {
            Self::Class => own,
            Self::Decrease => -own,
            Self::Rivals => own - rivals::mean(writer, own, classes),
            Self::Contrast { against } => own - contrast::other(writer, against, classes),
        }
    }
}
