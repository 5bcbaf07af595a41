//! Segmentation: a class for each pixel.

mod find;
mod segmentation;

pub use find::find_segments;
pub use segmentation::Segmentation;
