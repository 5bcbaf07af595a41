//! Frames: a picture in memory, its exact time, the medium it belongs to, its colours and its rotation; and the report of
//! what a run left out.

pub mod alpha;
#[cfg(feature = "video")]
pub mod colour;
pub mod display_matrix;
#[cfg(feature = "video")]
pub mod ffmpeg_filter;
mod frame;
#[cfg(feature = "video")]
pub mod packets;
mod picture;
mod report;
#[cfg(feature = "video")]
mod timeline;
#[cfg(all(feature = "camera", target_os = "linux"))]
pub mod v4l2;

pub use display_matrix::DisplayMatrix;
pub use frame::{Frame, Medium, MediumKind, Time, TimeBase, name_of, without_secrets};
pub use picture::{Picture, Pool, scale_to_fit, scaled};
pub use report::Report;
