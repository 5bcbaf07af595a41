//! Detection: the layouts that detectors give their boxes in, all written in one form.

mod boxes;
mod cells;
mod chosen;
mod detection;
mod find;
mod layout;
mod moves;

pub use detection::Detection;
pub use find::{Family, FoundDetector, Hints, find_detector};
