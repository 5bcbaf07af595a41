//! Which camera, film or stream is watched live.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use whycam::pipeline::Opener;
use whycam::plumbing::Report;
use whycam::source::{self, EndPolicy, Input, LiveSource, Reopen};

use super::args::size;

#[derive(Args)]
pub struct SourceArgs {
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
}

impl SourceArgs {
    /// The file that is read.
    pub fn file(&self) -> Option<&Path> {
        self.input.as_ref().map(Path::new)
    }

    /// Opens the source on another thread. An error of a file is reported at once, before a window opens.
    pub fn opener(&self, headless: bool, report: &Report) -> Result<Opener> {
        let mirror = self.mirror;
        let mut open: Reopen = match &self.input {
            Some(input) => {
                let (input, report) = (Input::from(input), report.clone());
                Box::new(move || source::open(&input, 0, &report))
            }
            None => self.open_camera()?,
        };
        let path: Option<PathBuf> = self.input.as_ref().and_then(|input| Input::from(input).path);
        if path.is_some_and(|path| !source::is_pipe(&path)) {
            open()?;
        }
        let (of_film, of_stream) = self.end_policies(headless);
        Ok(Box::new(move |report| Ok(Box::new(LiveSource::open(open, of_film, of_stream, mirror, report)?))))
    }

    /// What follows on the end of a film, and on that of a camera or a stream. Without a window a camera that is lost ends
    /// the run, so that its recording is complete.
    fn end_policies(&self, headless: bool) -> (EndPolicy, EndPolicy) {
        let of_film = if self.repeat { EndPolicy::Repeat } else { EndPolicy::Finish };
        let of_stream = if headless { EndPolicy::Finish } else { EndPolicy::Reconnect };
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
