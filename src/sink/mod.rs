//! Where explained frames go. A sink knows neither sources nor models.

mod animation;
mod boxes;
#[cfg(all(feature = "camera", target_os = "linux"))]
mod camera_out;
#[cfg(feature = "video")]
pub mod film;
mod interface;
mod json;
mod lasting;
mod maps;
mod picture;
mod results;
mod resume;

pub use boxes::{HotBox, hot_boxes};
#[cfg(all(feature = "camera", target_os = "linux"))]
pub use camera_out::CameraOut;
pub use interface::{Encoding, Ending, ExplainedFrame, Flow, Sink};
pub use json::{JsonSink, json_line};
pub use lasting::{Connect, LastingSink, LiveOutput};
pub use maps::{MapFormat, MapNames, MapsSink};
pub use results::{Destination, ResultNames, ResultsSink};
pub use resume::{ResumeLog, ResumeSink};
