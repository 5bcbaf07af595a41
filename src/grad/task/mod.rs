//! What a model's outputs mean.

mod classify;
mod evidence;
mod head;
mod task_kind;

pub use classify::{Classification, Probability};
pub use head::Search;
pub use task_kind::Task;
