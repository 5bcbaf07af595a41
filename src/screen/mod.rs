//! The live view: what a screen shows, and how the viewer controls the pipeline.

#[cfg(feature = "window")]
mod hud;
mod interface;
#[cfg(feature = "window")]
mod keys;
#[cfg(feature = "window")]
mod snapshot;
#[cfg(feature = "window")]
mod taught;
#[cfg(feature = "window")]
mod window;

pub use interface::{Pace, Screen, ScreenFrame, TaughtClass, TeachingView, ViewerCommand};
#[cfg(feature = "window")]
pub use window::Window;
