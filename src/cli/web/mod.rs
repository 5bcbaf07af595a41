//! `whycam web`: a page that explains in the visitor's browser.

mod command;

pub use command::Web;
