//! `whycam evaluate`

mod choose;
mod command;
mod json;
mod kept;
mod page;
mod plots;
mod table;

pub use command::Evaluate;
