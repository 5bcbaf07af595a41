//! The interface to cameras: V4L2 on Linux, nokhwa elsewhere.

use std::time::{Duration, Instant};

#[cfg(not(target_os = "linux"))]
pub use super::native::{list, offers, open};
#[cfg(target_os = "linux")]
pub use super::v4l2::{list, offers, open};

use super::decode::Layout;
use crate::error::{Error, Result};

/// A camera that the system lists.
#[derive(Clone, Debug)]
pub struct CameraInfo {
    pub index: u32,
    pub name: String,
}

/// A camera that streams. It is used on the thread that opened it.
pub trait Camera {
    /// How its pictures are laid out. This stays as it is while it streams.
    fn layout(&self) -> Layout;

    /// Waits for the next picture.
    ///
    /// # Errors
    /// The camera was unplugged, failed, or sends no more pictures. It gives none from then on.
    fn next_shot(&mut self) -> Result<Shot>;
}

/// A picture before decoding.
pub struct Shot {
    pub bytes: Vec<u8>,
    pub taken: Instant,
}

impl Shot {
    /// A picture that was taken so long ago. An age beyond what any camera holds back is a fault of a clock and counts as
    /// none.
    pub fn new(bytes: Vec<u8>, age: Duration) -> Self {
        const MAX_AGE: Duration = Duration::from_secs(10);
        let now = Instant::now();
        let age = if age < MAX_AGE { age } else { Duration::ZERO };
        Self { bytes, taken: now.checked_sub(age).unwrap_or(now) }
    }
}

/// A camera that sends no picture for this long has failed.
pub const STALLED: Duration = Duration::from_secs(10);

/// The error of a camera that has failed so.
pub fn stalled(index: u32) -> Error {
    let problem = format!("it has sent no picture for {} s; unplug it and plug it in again", STALLED.as_secs());
    Error::camera(index, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_the_clock_makes_no_picture_old() {
        let [moment, year] = [Duration::from_millis(30), Duration::from_hours(8766)];
        let before = Instant::now();
        assert!(Shot::new(Vec::new(), year).taken >= before);
        assert!(Shot::new(Vec::new(), moment).taken <= Instant::now().checked_sub(moment).unwrap_or(before));
    }
}
