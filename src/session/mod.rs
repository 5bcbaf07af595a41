//! Running models. This room alone names the inference runtime.

mod blocks;
mod device;
mod graph_session;
mod model_session;
mod optimised;
mod probe;
mod reader;
mod run_outputs;
mod runtime;

pub use device::{Compute, Device};
pub use model_session::{Input, Session};
pub use probe::{probe, sample};
pub use reader::TensorReader;
pub use run_outputs::RunOutputs;
pub use runtime::{Runtime, runtime};
