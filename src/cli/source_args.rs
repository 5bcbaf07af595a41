//! Which camera, film or stream is watched live.

use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use clap::Args;
use whycam::pipeline::Opener;
use whycam::plumbing::Report;
use whycam::source::{self, EndPolicy, Input, LiveSource, MergedSource, OpenLane, Reopen, StatusReport};

use super::args::{rate, size};
use super::output::UsageError;

#[derive(Args)]
pub struct SourceArgs {
    /// The camera: its index, its device path or a part of its name. Several sources, four at most, share the window
    #[arg(long, value_name = "N|NAME")]
    camera: Vec<String>,
    /// A film, played at its own speed, or the address of a stream, instead of a camera. Several share the window
    #[arg(long, value_name = "FILE|ADDRESS")]
    input: Vec<OsString>,
    /// Play the film over and over
    #[arg(long = "loop", requires = "input")]
    repeat: bool,
    /// The camera's picture size, or the nearest that it has
    #[arg(long, value_name = "WxH", value_parser = size, conflicts_with = "input")]
    size: Option<(u32, u32)>,
    /// The camera's frame rate, or the nearest that it has
    #[arg(long, value_name = "N", value_parser = rate, conflicts_with = "input")]
    fps: Option<f64>,
    /// Flip the picture left to right, as a mirror does
    #[arg(long)]
    mirror: bool,
}

/// Opens a film or stream. A file is tried at once.
fn open_input(input: &OsString, report: &Report) -> Result<Reopen> {
    let path = Input::from(input).path;
    let (input, report) = (Input::from(input), report.clone());
    let mut open: Reopen = Box::new(move || source::open(&input, 0, &report));
    if path.is_some_and(|path| !source::is_pipe(&path)) {
        open()?;
    }
    Ok(open)
}

/// Why each of several sources gives no frames.
struct Silent {
    why: Vec<Option<String>>,
    show: StatusReport,
}

impl Silent {
    /// Takes why a source gives no frames. The screen says so while no source gives any.
    fn report(&mut self, number: usize, why: Option<String>) {
        let were_all = self.why.iter().all(Option::is_some);
        self.why[number].clone_from(&why);
        let are_all = self.why.iter().all(Option::is_some);
        if are_all || were_all {
            (self.show)(why.filter(|_| are_all));
        }
    }
}

/// Sources that share a window at most.
const MOST_LANES: usize = 4;

/// When a run ends by itself.
#[derive(Clone, Copy, Debug)]
pub enum Ends {
    /// With a film, and with a camera or stream that is lost.
    WithItsSource,
    /// With a film. A camera or stream is waited for.
    WithAFilm,
    Never,
}

impl SourceArgs {
    /// The files that are read.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.input.iter().map(Path::new)
    }

    /// The number of sources.
    pub fn lanes(&self) -> usize {
        (self.input.len() + self.camera.len()).max(1)
    }

    /// Opens the sources on other threads. An error of a file is reported at once, before a window opens.
    pub fn opener(&self, ends: Ends, report: &Report) -> Result<Opener> {
        if self.lanes() > MOST_LANES {
            return Err(UsageError(format!("{} sources share the window; {MOST_LANES} can", self.lanes())).into());
        }
        let mut lanes = Vec::new();
        for input in &self.input {
            lanes.push(self.lane(open_input(input, report)?, ends, report));
        }
        let cameras = self.camera.iter().map(|camera| Some(camera.clone()));
        let first = self.input.is_empty().then_some(None);
        for camera in cameras.chain(first).take(self.lanes() - lanes.len()) {
            lanes.push(self.lane(self.open_camera(camera)?, ends, report));
        }
        Ok(Box::new(move |show| {
            let silent = Arc::new(Mutex::new(Silent { why: vec![None; lanes.len()], show }));
            let mut opens = lanes.into_iter().enumerate().map(|(number, lane)| {
                let silent = Arc::clone(&silent);
                let report: StatusReport =
                    Box::new(move |why| silent.lock().unwrap_or_else(PoisonError::into_inner).report(number, why));
                Box::new(move || lane(report)) as OpenLane
            });
            match (opens.next(), opens.len()) {
                (Some(only), 0) => only(),
                (first, _) => Ok(Box::new(MergedSource::open(first.into_iter().chain(opens).collect())?)),
            }
        }))
    }

    /// One of the sources. Why it gives no frames is shown, and told.
    fn lane(&self, open: Reopen, ends: Ends, report: &Report) -> Opener {
        let (of_film, of_stream) = self.end_policies(ends);
        let (mirror, told) = (self.mirror, report.clone());
        Box::new(move |show| {
            let gone = AtomicBool::new(false);
            let show_and_tell = move |why: Option<String>| {
                let was_gone = gone.swap(why.is_some(), Ordering::Relaxed);
                match &why {
                    Some(why) => told.tell_again(&why.replace('\n', "; ")),
                    None if was_gone => told.tell_again("the source is back"),
                    None => {}
                }
                show(why);
            };
            Ok(Box::new(LiveSource::open(open, of_film, of_stream, mirror, Box::new(show_and_tell))?))
        })
    }

    /// What follows on the end of a film, and on that of a camera or a stream.
    fn end_policies(&self, ends: Ends) -> (EndPolicy, EndPolicy) {
        let of_film = if self.repeat { EndPolicy::Repeat } else { EndPolicy::Finish };
        match ends {
            Ends::WithItsSource => (of_film, EndPolicy::Finish),
            Ends::WithAFilm => (of_film, EndPolicy::Reconnect),
            Ends::Never => (EndPolicy::Forever, EndPolicy::Reconnect),
        }
    }

    #[cfg(feature = "camera")]
    fn open_camera(&self, wanted: Option<String>) -> Result<Reopen> {
        use whycam::source::camera::{CameraSource, RequestedMode, find_camera};

        let mode = RequestedMode { size: self.size, rate: self.fps };
        let find = move || find_camera(wanted.as_deref());
        find()?;
        // A camera that comes back may have another index.
        Ok(Box::new(move || Ok(Box::new(CameraSource::open(find()?, mode)?))))
    }

    #[cfg(not(feature = "camera"))]
    #[expect(clippy::unused_self, reason = "it has the signature that it has with the feature")]
    fn open_camera(&self, wanted: Option<String>) -> Result<Reopen> {
        let _ = wanted;
        anyhow::bail!("this build of whycam reads no cameras (feature `camera`); try `whycam demo` or --input")
    }
}
