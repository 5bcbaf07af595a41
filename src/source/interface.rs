//! The trait of sources.

use crate::error::Result;
use crate::media::Frame;

/// A sequence of frames, read on the calling thread.
pub trait Source {
    /// Reads the next frame. Returns `None` at the end.
    ///
    /// # Errors
    /// The source failed. It gives no more frames.
    fn next_frame(&mut self) -> Result<Option<Frame>>;

    /// The number of frames, if known.
    fn frame_count(&self) -> Option<u64>;

    /// Whether its frames come as they are taken, without an end: those of a camera or a broadcast.
    fn is_endless(&self) -> bool {
        false
    }

    /// The number of frames skipped in favour of newer ones since the last call.
    fn passed_over(&mut self) -> u64 {
        0
    }
}
