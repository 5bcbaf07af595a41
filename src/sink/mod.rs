//! Where explained frames go. A sink knows neither sources nor models.

mod animation;
mod boxes;
#[cfg(feature = "video")]
pub mod film;
mod json;
mod maps;
mod marks;
mod picture;
mod results;

pub use boxes::{HotBox, hot_boxes};
pub use json::{JsonSink, json_line};
pub use maps::{MapFormat, MapNames, MapsSink};
pub use marks::{Marks, MarksSink};
pub use results::{Place, ResultsSink};

use crate::error::Result;
use crate::explanation::{Explanation, Facts};
use crate::frame::Frame;

/// A frame with its explanation; its picture bears the overlay.
#[derive(Clone)]
pub struct ExplainedFrame {
    pub frame: Frame,
    pub explanation: Explanation,
    /// Counted from 0 over the whole run.
    pub number: u64,
}

/// How films are encoded.
#[derive(Clone, Debug, Default)]
pub struct Encoding {
    /// FFmpeg's name of the encoder; else one that goes with the file's name.
    pub encoder: Option<String>,
    /// The encoder's constant rate factor: the smaller, the better and the larger the film.
    pub quality: Option<u8>,
    /// 0 leaves the choice to the encoder.
    pub threads: usize,
}

/// Whether a sink wants more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Continue,
    /// The user has closed it.
    Stop,
}

/// How the frames came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The last frame of the source was written.
    Whole,
    /// The run was stopped before that.
    Cut,
}

/// A taker of explained frames, on the thread that gives them.
pub trait Sink {
    /// # Errors
    /// The frame cannot be put there.
    fn write(&mut self, explained: &ExplainedFrame, facts: &Facts) -> Result<Flow>;

    /// Called while no frame comes.
    ///
    /// # Errors
    /// The sink broke meanwhile.
    fn idle(&mut self) -> Result<Flow> {
        Ok(Flow::Continue)
    }

    /// How many frames it did not write, since it did not keep up.
    fn left_out(&self) -> u64 {
        0
    }

    /// Completes what was written. Called once, also after an interruption.
    ///
    /// # Errors
    /// The end cannot be written.
    fn finish(&mut self, _: Ending) -> Result<()> {
        Ok(())
    }
}
