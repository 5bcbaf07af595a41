//! What a model's outputs mean.

mod classify;
mod task_kind;

pub use classify::{Classification, Probability};
pub use task_kind::Task;
