//! What a model's outputs mean.

mod background;
mod box_order;
mod detect;
mod evidence;
mod find_row;
mod output_reading;
mod outputs;
mod score_row;
mod segment;
mod task_kind;

pub use background::{Background, is_background};
pub use box_order::BoxOrder;
pub use detect::{Detection, Family, FoundDetector, Hints, InRows, find_detector, score_maps};
pub use find_row::check_stated_shapes;
pub use output_reading::OutputReading;
pub use score_row::{Probability, ScoreRow};
pub use segment::Segmentation;
pub use task_kind::{Search, TASKS, Task};
