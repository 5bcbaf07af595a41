//! Options that `live` and `demo` share, and the window.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use whycam::Error;
use whycam::pipeline::{Options, Policy};
use whycam::plumbing::{Report, Semaphore, TemporalSmoother};
use whycam::screen::Screen;
use whycam::sink::{JsonSink, Sink};

use super::encode::{EncodeArgs, recording};

#[derive(Args)]
pub struct ViewArgs {
    /// Write the explained pictures to a film
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    #[command(flatten)]
    pub encode: EncodeArgs,
    /// Write one JSON object a frame, to a file or - for standard output
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
    /// Open no window
    #[arg(long)]
    pub headless: bool,
    /// Stop after N explained frames
    #[arg(long, value_name = "N")]
    pub frames: Option<u64>,
    /// Stop after S seconds
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub seconds: Option<Duration>,
    /// Show each frame's own map and class, instead of means over a quarter of a second
    #[arg(long)]
    pub no_smoothing: bool,
    /// Overwrite existing files
    #[arg(long)]
    pub force: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let duration = text.parse::<f64>().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
    duration.ok_or_else(|| "give a number of seconds, like 10 or 2.5".into())
}

impl ViewArgs {
    /// The sinks that write files. Another thread encodes the film, so that it does not hold up a window.
    pub fn sinks(&self, in_window: bool, threads: usize, report: &Report) -> Result<Vec<Box<dyn Sink>>> {
        let policy = if in_window { Policy::Newest } else { Policy::Block };
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        if let Some(path) = &self.record {
            sinks.push(recording(path.clone(), self.encode.encoding(threads), self.force, policy, report.clone())?);
        }
        if let Some(path) = &self.json {
            sinks.push(Box::new(JsonSink::new(path, None, None, self.force)?));
        }
        Ok(sinks)
    }

    pub fn pipeline_options(&self, policy: Policy) -> Options {
        let smoothing = (!self.no_smoothing).then_some(TemporalSmoother::SECONDS);
        Options { policy, frames: self.frames, duration: self.seconds, smoothing, semaphore: Semaphore::UNBOUNDED }
    }
}

/// A window for pictures of about this size.
#[cfg(feature = "window")]
pub fn window(width: u32, height: u32) -> whycam::Result<Box<dyn Screen>> {
    match whycam::screen::Window::open(width, height) {
        Ok(window) => Ok(Box::new(window)),
        Err(Error::Window(problem)) => Err(Error::Window(format!("{problem}, or use --headless with --record FILE"))),
        Err(error) => Err(error),
    }
}

#[cfg(not(feature = "window"))]
pub fn window(_: u32, _: u32) -> whycam::Result<Box<dyn Screen>> {
    Err(Error::Window("this build of whycam has none (feature `window`); use --headless".into()))
}
