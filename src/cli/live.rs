//! `whycam live`

use std::ffi::OsString;
use std::path::Path;

use anyhow::Result;
use clap::Args;
use whycam::pipeline::Policy;
use whycam::source::{self, EndPolicy, Input, LiveSource, Reopen};

use super::args::{ExplainArgs, GlobalArgs, size};
use super::output::{ExitStatus, check_outputs, report};
use super::run::PipelineRun;
use super::view::{ViewArgs, window};

#[derive(Args)]
pub struct Live {
    /// The camera: its index, its device path or a part of its name
    #[arg(long, value_name = "N|NAME", conflicts_with = "input")]
    camera: Option<String>,
    /// A film, played at its own speed, or the address of a stream, instead of a camera
    #[arg(long, value_name = "FILE|ADDRESS")]
    input: Option<OsString>,
    /// Play the film over and over
    #[arg(long = "loop", requires = "input")]
    repeat: bool,
    /// The camera's picture size, or the nearest that it has
    #[arg(long, value_name = "WxH", value_parser = size, conflicts_with = "input")]
    size: Option<(u32, u32)>,
    /// The camera's frame rate, or the nearest that it has
    #[arg(long, value_name = "N", conflicts_with = "input")]
    fps: Option<u32>,
    /// Flip the picture left to right, as a mirror does
    #[arg(long)]
    mirror: bool,
    #[command(flatten)]
    view: ViewArgs,
    #[command(flatten)]
    explain: ExplainArgs,
}

impl Live {
    pub fn run(mut self, global: &GlobalArgs) -> Result<ExitStatus> {
        self.explain.map.detections.each = self.view.json.is_some();
        let report = report(global.quiet);
        let mirror = self.mirror;
        let mut open: Reopen = match &self.input {
            Some(input) => {
                let (input, report) = (Input::from(input), report.clone());
                Box::new(move || source::open(&input, 0, &report))
            }
            None => self.open_camera()?,
        };
        let path = self.input.as_ref().and_then(|input| Input::from(input).path);
        if path.is_some_and(|path| !source::is_pipe(&path)) {
            // An error of a file is reported before a window opens.
            open()?;
        }
        let (of_film, of_stream) = self.end_policies();
        let input = self.input.as_ref().map(Path::new);
        let read: Vec<&Path> = input.into_iter().chain(self.explain.model.files()).collect();
        let outputs = [self.view.record.as_deref(), self.view.json.as_deref()];
        check_outputs(&outputs, &read)?;
        let in_window = !self.view.headless;
        let sinks = self.view.sinks(in_window, self.explain.model.settings.threads, &report)?;
        let screen = if in_window { Some(window(640, 480)?) } else { None };
        PipelineRun {
            global,
            explain: &self.explain,
            open: Box::new(move |report| Ok(Box::new(LiveSource::open(open, of_film, of_stream, mirror, report)?))),
            sinks,
            screen,
            options: self.view.pipeline_options(Policy::Newest),
            explainers: None,
            pictures: self.view.record.is_some(),
            progress: false,
            highest: None,
        }
        .run()
    }

    /// What follows on the end of a film, and on that of a camera or a stream. Without a window a camera that is lost ends
    /// the run, so that its recording is complete.
    fn end_policies(&self) -> (EndPolicy, EndPolicy) {
        let of_film = if self.repeat { EndPolicy::Repeat } else { EndPolicy::Finish };
        let of_stream = if self.view.headless { EndPolicy::Finish } else { EndPolicy::Reconnect };
        (of_film, of_stream)
    }

    #[cfg(feature = "camera")]
    fn open_camera(&self) -> Result<Reopen> {
        use whycam::source::camera::{CameraSource, RequestedMode, find_camera};

        let mode = RequestedMode { size: self.size, rate: self.fps };
        let wanted = self.camera.clone();
        let find = move || find_camera(wanted.as_deref());
        find()?;
        // A camera that comes back may have another index.
        Ok(Box::new(move || Ok(Box::new(CameraSource::open(find()?, mode)?))))
    }

    #[cfg(not(feature = "camera"))]
    #[expect(clippy::unused_self, reason = "it has the signature that it has with the feature")]
    fn open_camera(&self) -> Result<Reopen> {
        anyhow::bail!("this build of whycam reads no cameras (feature `camera`); try `whycam demo` or --input")
    }
}
