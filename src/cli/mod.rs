//! The command line, one file a command.

pub mod allocator;
mod args;
mod arguments;
mod audience;
mod bench;
mod cameras;
mod demo;
mod encode;
mod evaluate;
mod explain;
mod explainers;
mod generate;
mod gradient;
mod inspect;
mod live;
mod log;
mod methods;
mod models;
mod output;
mod prepare;
mod resume_key;
mod run;
mod source_args;
mod style_args;
mod teach;
mod view;
mod web;

pub use arguments::Arguments;
pub use output::{ExitStatus, keep_quiet_about_pictures, say_failure};
