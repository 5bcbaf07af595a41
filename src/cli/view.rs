//! Options that `live`, `demo` and `teach --live` share.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use whycam::pipeline::{Options, Policy};
use whycam::plumbing::{Report, Semaphore, TemporalSmoother};
use whycam::sink::{JsonSink, Sink};

use super::audience::AudienceArgs;
use super::encode::{EncodeArgs, camera_out, recording};
use super::source_args::Ends;

#[derive(Args)]
pub struct ViewArgs {
    /// Write the explained pictures to a film, or send them to an address: rtmp://, rtsp://, srt://, tcp:// or udp://
    #[arg(long, value_name = "FILE|ADDRESS")]
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
    #[command(flatten)]
    pub audience: AudienceArgs,
}

pub fn seconds(text: &str) -> Result<Duration, String> {
    let duration = text.parse::<f64>().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
    duration.ok_or_else(|| "give a number of seconds, like 10 or 2.5".into())
}

impl ViewArgs {
    /// What follows on the end of a camera or a stream, and of a film that is not repeated. Without a screen a camera that is
    /// lost ends the run, so that its recording is complete.
    pub fn ends(&self) -> Ends {
        if self.audience.kiosk {
            Ends::Never
        } else if self.headless && self.audience.serve.is_none() {
            Ends::WithItsSource
        } else {
            Ends::WithAFilm
        }
    }

    /// Whether pictures with the map go anywhere but to the screen.
    pub fn pictures(&self) -> bool {
        self.record.is_some() || self.audience.camera_out.is_some()
    }

    /// The sinks besides the screen. Another thread encodes the film, so that it does not hold up the view.
    pub fn sinks(&self, on_screen: bool, threads: usize, report: &Report) -> Result<Vec<Box<dyn Sink>>> {
        let policy = if on_screen { Policy::Newest } else { Policy::Block };
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        if let Some(path) = &self.record {
            sinks.push(recording(path.clone(), self.encode.encoding(threads), self.force, policy, report.clone())?);
        }
        if let Some(device) = &self.audience.camera_out {
            sinks.push(camera_out(device.clone(), report.clone())?);
        }
        if let Some(path) = &self.json {
            sinks.push(Box::new(JsonSink::new(path, None, None, self.force)?));
        }
        Ok(sinks)
    }

    pub fn pipeline_options(&self, policy: Policy, lanes: usize) -> Options {
        let smoothing = (!self.no_smoothing).then_some(TemporalSmoother::SECONDS);
        Options {
            policy,
            lanes,
            frames: self.frames,
            duration: self.seconds,
            smoothing,
            semaphore: Semaphore::UNBOUNDED,
        }
    }
}
