//! Frames: a picture in memory, its exact time, the medium it belongs to, and its rotation.

pub mod display_matrix;
#[cfg(feature = "video")]
pub mod ffmpeg_filter;
mod frame;
mod picture;

pub use display_matrix::DisplayMatrix;
pub use frame::{Frame, Medium, MediumKind, Time, TimeBase};
pub use picture::{Picture, Pool};
