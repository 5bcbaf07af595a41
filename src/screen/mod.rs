//! The live view: what a screen shows, and how the viewer controls the pipeline.

#[cfg(feature = "window")]
mod fullscreen;
#[cfg(feature = "window")]
mod hud;
mod interface;
#[cfg(feature = "window")]
mod keys;
mod kiosk;
#[cfg(feature = "serve")]
mod page;
#[cfg(any(feature = "window", feature = "serve"))]
mod recording;
mod several;
#[cfg(any(feature = "window", feature = "serve"))]
mod taught;
#[cfg(feature = "window")]
mod window;

pub use interface::{Pace, Screen, ScreenFrame, Switches, TaughtClass, TeachingView, ViewerCommand};
pub use kiosk::Kiosk;
#[cfg(feature = "serve")]
pub use page::{Page, PageOptions};
pub use several::Screens;
#[cfg(feature = "window")]
pub use window::{Window, WindowStyle};
