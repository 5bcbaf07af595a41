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

/// A camera that sends no picture for this long has failed.
pub const STALLED: Duration = Duration::from_secs(10);

/// The error of a camera that has failed so.
pub fn stalled(index: u32) -> Error {
    let problem = format!("it has sent no picture for {} s; unplug it and plug it in again", STALLED.as_secs());
    Error::Camera { camera: index.to_string(), problem }
}
