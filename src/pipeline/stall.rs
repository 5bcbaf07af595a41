//! Noticing that no explained frame arrives.

use std::time::{Duration, Instant};

/// After this long without a frame, the screen shows why.
const STALL: Duration = Duration::from_secs(2);

const SLOW_MAP: &str = "this map takes long\npress M or L for another method or layer";
const NO_FRAMES: &str = "no frames are coming\nwaiting for more";

/// Watches for gaps between explained frames.
pub struct StallWatch {
    last_frame: Instant,
    /// Captured frames at the last explained frame.
    captured_at_last_frame: u64,
    /// Whether the screen shows this stall.
    reported: bool,
    /// Why the source gives no frames, if it reported a reason.
    interruption: Option<String>,
}

impl StallWatch {
    pub fn new() -> Self {
        Self { last_frame: Instant::now(), captured_at_last_frame: 0, reported: false, interruption: None }
    }

    /// Notes an explained frame. Returns whether it ends a stall that the screen shows.
    pub fn frame_arrived(&mut self, captured: u64) -> bool {
        self.last_frame = Instant::now();
        self.captured_at_last_frame = captured;
        std::mem::take(&mut self.reported)
    }

    pub fn set_interruption(&mut self, why: Option<String>) {
        self.interruption = why;
    }

    /// Returns the cause of a stall, once per stall. `captured` tells a slow model from a silent source.
    pub fn new_stall(&mut self, captured: u64) -> Option<&str> {
        if self.reported {
            return None;
        }
        let slow = captured > self.captured_at_last_frame + 1;
        let stalled = (self.last_frame.elapsed() > STALL).then_some(if slow { SLOW_MAP } else { NO_FRAMES });
        let why = self.interruption.as_deref().or(stalled)?;
        self.reported = true;
        Some(why)
    }
}
