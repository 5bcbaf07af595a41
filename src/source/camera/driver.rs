//! What is asked of the way to cameras: V4L2 on Linux, elsewhere nokhwa.

use std::time::Instant;

#[cfg(not(target_os = "linux"))]
pub use super::native::{list, offers, open};
#[cfg(target_os = "linux")]
pub use super::v4l2::{list, offers, open};

use super::decode::Layout;
use crate::error::Result;

/// A camera that the system lists.
#[derive(Clone, Debug)]
pub struct CameraName {
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
