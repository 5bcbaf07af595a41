//! Where explained frames go. A sink knows neither sources nor models.

mod animation;
mod boxes;
#[cfg(feature = "video")]
pub mod film;
mod interface;
mod json;
mod maps;
mod picture;
mod results;
mod resume;

pub use boxes::{HotBox, hot_boxes};
pub use interface::{Encoding, Ending, ExplainedFrame, Flow, Sink};
pub use json::{JsonSink, json_line};
pub use maps::{MapFormat, MapNames, MapsSink};
pub use results::{Destination, ResultNames, ResultsSink};
pub use resume::{ResumeLog, ResumeSink};
