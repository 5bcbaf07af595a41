//! A recording that the viewer starts and ends while the pipeline runs.

use crate::error::Result;
use crate::explain::ExplanationContext;
use crate::sink::{Ending, ExplainedFrame, Sink};

/// The current recording, if there is one, and what ended recordings left out.
#[derive(Default)]
pub struct Recording {
    current: Option<Current>,
    left_out: u64,
}

struct Current {
    name: String,
    sink: Box<dyn Sink>,
}

impl Recording {
    pub fn is_on(&self) -> bool {
        self.current.is_some()
    }

    /// Frames missing from recordings that have ended.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Ends the current recording, or starts one with `start`. Returns a message for the viewer: the name of an ended
    /// recording, or what failed.
    pub fn toggle(&mut self, start: impl FnOnce() -> Result<(String, Box<dyn Sink>)>) -> Option<String> {
        if let Some(Current { name, mut sink }) = self.current.take() {
            let finished = sink.finish(Ending::Cut);
            self.left_out += sink.left_out();
            return Some(finished.map_or_else(|error| error.to_string(), |()| format!("written: {name}")));
        }
        match start() {
            Ok((name, sink)) => self.current = Some(Current { name, sink }),
            Err(error) => return Some(error.to_string()),
        }
        None
    }

    /// Writes a frame to the current recording.
    ///
    /// # Errors
    /// The frame cannot be written. The recording has ended; its file keeps the earlier frames.
    pub fn write(&mut self, explained: &ExplainedFrame, context: &ExplanationContext) -> Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let written = current.sink.write(explained, context).map(drop);
        if written.is_err() {
            self.left_out += current.sink.left_out();
            self.current = None;
        }
        written
    }

    /// Takes the current recording's sink out, to finish it with the other sinks.
    pub fn take_sink(&mut self) -> Option<Box<dyn Sink>> {
        self.current.take().map(|current| current.sink)
    }
}
