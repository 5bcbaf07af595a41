//! Explanations as JSON, one object per line.

mod classes;
mod json_sink;
mod line;

pub use json_sink::{JsonSink, json_line};
