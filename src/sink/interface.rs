//! The interface of sinks.

use crate::error::Result;
use crate::explain::{Explanation, ExplanationContext};
use crate::media::Frame;

/// A frame and its explanation. The overlay is already drawn onto its picture.
#[derive(Clone)]
pub struct ExplainedFrame {
    pub frame: Frame,
    pub explanation: Explanation,
    /// The position in the whole run, from 0.
    pub number: u64,
}

/// How films are encoded.
#[derive(Clone, Debug, Default)]
pub struct Encoding {
    /// FFmpeg's name of the encoder; `None` chooses by the file name.
    pub encoder: Option<String>,
    /// The constant rate factor: a smaller number gives a better and larger film.
    pub quality: Option<u8>,
    /// Encoder threads; 0 leaves the choice to the encoder.
    pub threads: usize,
}

/// Whether a sink takes more frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Continue,
    /// The user closed the sink.
    Stop,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All frames of the source were written.
    Whole,
    /// The run stopped earlier.
    Cut,
}

/// Takes explained frames, on the thread of the caller.
pub trait Sink {
    /// Writes one frame.
    ///
    /// # Errors
    /// The frame cannot be written.
    fn write(&mut self, explained: &ExplainedFrame, context: &ExplanationContext) -> Result<Flow>;

    /// Called while there is no frame to write.
    ///
    /// # Errors
    /// The sink failed.
    fn idle(&mut self) -> Result<Flow> {
        Ok(Flow::Continue)
    }

    /// The number of frames that it skipped because it was too slow.
    fn left_out(&self) -> u64 {
        0
    }

    /// Completes the output. Called once, also after an interruption.
    ///
    /// # Errors
    /// The output cannot be completed.
    fn finish(&mut self, _: Ending) -> Result<()> {
        Ok(())
    }
}
