//! Segmentation: a class for each pixel.

mod find;
mod segmentation;

pub use find::{find_segments, is_named_for_segments};
pub use segmentation::Segmentation;
