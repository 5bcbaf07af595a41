//! The pipeline: capture and inference run on threads, the screen and the sinks on the thread that calls `run`.
//! Threads start only here, in [`ThreadedSink`], in `source` (one per open camera, one per source of several, and those that
//! read pictures ahead), in `screen/page` (two that serve it), and in `teach` while a folder is taught.
//!
//! ```text
//! source ──frames──▶ channel ──▶ explainer ▸ overlay ──explained frames──▶ channel ──▶ screen, sinks
//! thread "capture"               threads "inference" ◀──changes─────────── calling thread
//! ```
//!
//! Several workers share the frames if each frame is explained independently. The output stage restores their order.
//!
//! `run.rs` stops the threads in one function, `stop_in_order`.

mod capture;
mod commands;
mod composer;
mod control;
mod item;
mod order;
mod output_stage;
mod pace;
mod recording;
mod run;
mod snapshot;
mod stall;
mod teaching;
mod threaded_sink;
mod worker;

pub use capture::Opener;
pub use output_stage::{LiveScreen, Outputs, Teaching};
pub use pace::Ages;
pub use run::{Counts, Options, Outcome, Progress, run};
pub use threaded_sink::ThreadedSink;
pub use worker::Worker;

pub use crate::sync::{Stop, channel::Policy};
