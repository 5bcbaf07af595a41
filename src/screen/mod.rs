//! What a person sees of a running pipeline, and how they steer it.

#[cfg(feature = "window")]
mod hud;
#[cfg(feature = "window")]
mod keys;
#[cfg(feature = "window")]
mod snapshot;
#[cfg(feature = "window")]
mod window;

#[cfg(feature = "window")]
pub use window::Window;

use std::time::Duration;

use crate::error::Result;
use crate::explanation::{Explanation, Facts};
use crate::frame::Frame;
use crate::overlay::Overlay;

/// What there is to see now.
pub struct View<'a> {
    pub frame: &'a Frame,
    /// Of this frame, or in the fluid view of the last one that was explained.
    pub explanation: &'a Explanation,
    pub facts: &'a Facts,
    pub pace: Pace,
    pub recording: bool,
}

/// How the pipeline keeps up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// From the moment that the source gave the explained frame to now.
    pub age: Duration,
    /// Frames a second from the source, and explained ones.
    pub captured: f32,
    pub explained: f32,
    pub dropped: u64,
}

/// What a person asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Command {
    Quit,
    /// Another way of making the map, another layer, another colour map.
    NextMethod,
    NextLayer,
    NextColormap,
    /// The map's share of the picture, changed by so much.
    Alpha(f32),
    /// The predicted class, or the one of a rank, 0 for the likeliest.
    Explain(Option<usize>),
    /// Begin or end a recording.
    Record,
    /// Hold what is seen, or go on.
    Pause,
    /// What is shown has changed its look.
    Redraw,
    /// The picture at the camera's rate with the latest map, or each explained frame with its own.
    Fluid(bool),
}

/// Shows views and takes commands, on the main thread.
pub trait Screen {
    /// # Errors
    /// It cannot be drawn.
    fn show(&mut self, view: &View, overlay: &mut Overlay) -> Result<()>;

    /// Shows a line of text for a while.
    fn tell(&mut self, note: &str);

    /// Shows why no frames come, until one does.
    fn wait(&mut self, why: &str);

    /// Keeps the screen alive, and gives what was asked for since.
    ///
    /// # Errors
    /// The screen is gone.
    fn poll(&mut self) -> Result<Vec<Command>>;
}
