//! Detection: the layouts that detectors give their boxes in, all written in one form.

mod boxes;
mod cells;
mod chosen;
mod classes;
mod detection;
mod find;
mod forms;
mod in_rows;
mod layout;
mod moves;
mod narrow;
mod rebuild;
mod rows;
mod undecoded;

pub use detection::Detection;
pub use find::{Family, FoundDetector, Hints, find_detector};
pub use in_rows::InRows;
pub use moves::score_maps;
