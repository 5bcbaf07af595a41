//! A page in the browser: the live picture, what the model says, and buttons for what the keys of the window do.
//!
//! ```text
//! main thread ──pictures──▶ thread "page-pictures" (JPEG) ──▶ thread "page" (HTTP) ──▶ viewers
//!             ──events────────────────────────────────────▶
//!             ◀──commands──────────────────────────────────
//! ```
//!
//! Nothing here waits for a viewer: each gets the newest picture when it is ready for one, and misses events that it does
//! not take in time.

mod access;
mod body;
mod command;
mod feed;
mod pictures;
mod routes;
mod screen;
mod server;
mod state;

pub use screen::{Page, PageOptions};
