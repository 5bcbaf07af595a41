//! What a model's outputs mean.

mod classify;
mod detect;
mod evidence;
mod head;
mod task_kind;

pub use classify::{Classification, Probability};
pub use detect::{Detection, Family, FoundDetector, Hints, find_detector, score_maps};
pub use head::Search;
pub use task_kind::{TASKS, Task};
