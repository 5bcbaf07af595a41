//! `whycam bench`

mod command;
mod figures;
mod stages;

pub use command::Bench;
