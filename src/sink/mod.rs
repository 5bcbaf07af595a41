//! Where explained frames go. A sink knows neither sources nor models.

mod animation;
mod boxes;
#[cfg(feature = "video")]
pub mod film;
mod interface;
mod json;
mod maps;
mod picture;
mod reconnecting;
mod results;
mod resume;
#[cfg(all(feature = "camera", target_os = "linux"))]
mod virtual_camera;

pub use boxes::{HotBox, hot_boxes};
pub use interface::{Encoding, Ending, ExplainedFrame, Flow, Sink};
pub use json::{JsonSink, json_line};
pub use maps::{MapFormat, MapNames, MapSize, MapsSink};
pub use reconnecting::{Connect, LiveOutput, ReconnectingSink};
pub use results::{Destination, ResultNames, ResultsSink};
pub use resume::{OpenLog, ResumeLog, ResumeSink};
#[cfg(all(feature = "camera", target_os = "linux"))]
pub use virtual_camera::VirtualCamera;
