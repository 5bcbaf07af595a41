//! What passes from thread to thread.

use std::sync::Arc;

use crate::error::Result;
use crate::explain::{Explanation, ExplanationContext};
use crate::media::Frame;
use crate::model::Request;
use crate::sync::Permit;

/// A captured frame before inference.
pub struct CapturedFrame {
    pub frame: Frame,
    /// The source's frame count, if known.
    pub total: Option<u64>,
    /// Limits how many frames are in the pipeline at once.
    pub in_flight: Permit,
}

/// A frame with its explanation, before the screen and the sinks.
pub struct ExplainedItem {
    pub captured: CapturedFrame,
    pub explanation: Explanation,
    pub context: Arc<ExplanationContext>,
}

/// An item with its position in the source, counted from 0. An error is the last item of its sender.
pub type Numbered<T> = (u64, Result<T>);

/// What the other threads report to the output stage.
pub enum Status {
    /// A message that the screen shows for a few seconds.
    Message(String),
    /// What a worker explains from now on.
    Request(Box<Request>),
    /// The class that a worker explains from now on; `None` for the predicted one.
    Class(Option<usize>),
    /// The layers that can be chosen.
    Layers(Vec<String>),
    /// Why no frames arrive, or `None` once they arrive again.
    Interrupted(Option<String>),
}
