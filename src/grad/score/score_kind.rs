//! The scores.

use super::{class, contrast, rivals};
use crate::error::Result;
use crate::grad::graph_writer::GraphWriter;
use crate::grad::task::Task;
use crate::grad::value::Value;

/// The scalar whose gradient is taken: one variant a score, one file a variant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Score {
    /// The logit of the class.
    #[default]
    Class,
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
        let Task::Classify(classification) = task;
        let classes = classification.classes;
        let own = class::seed(writer, classes);
        let seed = match self {
            Self::Class => own,
            Self::Rivals => own - rivals::mean(writer, own, classes),
            Self::Contrast { against } => own - contrast::other(writer, against, classes),
        };
        let flat = writer.shape(&classification.logits)?.len() == 2;
        Ok(if flat { seed } else { seed.reshape_like(&classification.logits) })
    }
}
