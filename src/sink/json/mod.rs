//! Explanations as JSON, one object per line.

mod classes;
mod detections;
mod json_sink;
mod line;
mod segments;
mod values;

pub use json_sink::{JsonSink, json_line};
