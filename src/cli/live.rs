//! `whycam live`

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use whycam::pipeline::{Behind, Options, Policy};
use whycam::screen::Screen;
use whycam::sink::{Encoding, JsonSink, Place, ResultsSink, Sink};
use whycam::source::{self, End, LiveSource, Open, is_address};
use whycam::{Permits, Steady};

use super::encode::Encode;
use super::run::Run;
use super::{Common, Status};

#[derive(Args, Default)]
pub struct Live {
    /// The camera: its number, its device path or a part of its name
    #[arg(long, value_name = "N|NAME", conflicts_with = "input")]
    camera: Option<String>,
    /// A film, played at its own speed, or the address of a stream, in place of a camera
    #[arg(long, value_name = "FILE|ADDRESS")]
    input: Option<String>,
    /// Play the film over and over
    #[arg(long = "loop", requires = "input")]
    repeat: bool,
    /// The camera's size, or the nearest that it has
    #[arg(long, value_name = "WxH", value_parser = size, conflicts_with = "input")]
    size: Option<(u32, u32)>,
    /// The camera's frames a second, or the nearest that it has
    #[arg(long, value_name = "N", conflicts_with = "input")]
    fps: Option<u32>,
    /// Turn the picture left to right, as a mirror does
    #[arg(long)]
    mirror: bool,
    #[command(flatten)]
    view: View,
}

/// What `live` and `demo` share.
#[derive(Args, Default)]
pub struct View {
    /// Write the explained pictures to a film
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    #[command(flatten)]
    pub encode: Encode,
    /// One JSON object a frame, to a file or - for standard output
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
    /// Open no window
    #[arg(long)]
    pub headless: bool,
    /// End after so many explained frames
    #[arg(long, value_name = "N")]
    pub frames: Option<u64>,
    /// End after so many seconds
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub seconds: Option<Duration>,
    /// Show each frame's own map and class, not their means over a quarter of a second
    #[arg(long)]
    pub no_smoothing: bool,
    /// Overwrite what is there
    #[arg(long)]
    pub force: bool,
}

pub fn size(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once(['x', 'X']).and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    let sensible = sides.filter(|(w, h)| (1..=8192).contains(w) && (1..=8192).contains(h));
    sensible.ok_or_else(|| "give width and height up to 8192, like 640x480".into())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let duration = text.parse::<f64>().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
    duration.ok_or_else(|| "give a number of seconds, like 10 or 2.5".into())
}

impl View {
    /// The sinks that write files; a film is encoded on a thread of its own, and does not hold up a view.
    pub fn files(&self, shown: bool, common: &Common) -> Result<Vec<Box<dyn Sink>>> {
        let policy = if shown { Policy::Newest } else { Policy::Block };
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        if let Some(path) = &self.record {
            sinks.push(recording(path.clone(), self.encode.encoding(common.threads), self.force, policy)?);
        }
        if let Some(path) = &self.json {
            sinks.push(Box::new(JsonSink::new(path, None, None, self.force)?));
        }
        Ok(sinks)
    }

    pub fn limits(&self, policy: Policy) -> Options {
        let smoothing = (!self.no_smoothing).then_some(Steady::SECONDS);
        Options { policy, frames: self.frames, duration: self.seconds, smoothing, permits: Permits::UNBOUNDED }
    }
}

/// A film that is encoded on a thread of its own.
pub fn recording(path: PathBuf, encoding: Encoding, overwrite: bool, policy: Policy) -> whycam::Result<Box<dyn Sink>> {
    Ok(Box::new(Behind::start(policy, move || {
        Ok(Box::new(ResultsSink::new(Place::File(path), encoding, overwrite)?))
    })?))
}

/// A window for pictures of about this size.
#[cfg(feature = "window")]
pub fn window(width: u32, height: u32) -> whycam::Result<Box<dyn Screen>> {
    Ok(Box::new(whycam::screen::Window::open(width, height)?))
}

#[cfg(not(feature = "window"))]
pub fn window(_: u32, _: u32) -> whycam::Result<Box<dyn Screen>> {
    Err(whycam::Error::Window("this build of whycam has none (feature `window`); use --headless".into()))
}

impl Live {
    pub fn run(self, common: &Common) -> Result<Status> {
        // A file must not be lost to a camera that never comes back.
        let end = match (&self.input, self.view.headless) {
            (Some(input), _) if !is_address(input) => {
                if self.repeat {
                    End::Repeat
                } else {
                    End::Over
                }
            }
            (_, true) => End::Over,
            (_, false) => End::LookAgain,
        };
        let paced = self.input.as_ref().is_some_and(|input| !is_address(input));
        let mirror = self.mirror;
        let mut open: Open = match self.input.clone() {
            Some(input) => Box::new(move || source::open(&input, 0)),
            None => self.open_camera()?,
        };
        if paced {
            // What is wrong with a file is said before a window opens.
            open()?;
        }
        let sinks = self.view.files(!self.view.headless, common)?;
        let screen = if self.view.headless { None } else { Some(window(640, 480)?) };
        Run {
            common,
            open: Box::new(move |tell| Ok(Box::new(LiveSource::open(open, end, paced, mirror, tell)?))),
            sinks,
            screen,
            options: self.view.limits(Policy::Newest),
            explainers: None,
            pictures: self.view.record.is_some(),
            progress: false,
            tops: None,
        }
        .run()
    }

    #[cfg(feature = "camera")]
    fn open_camera(&self) -> Result<Open> {
        use whycam::source::camera::{CameraSource, Wish, find_camera};

        let wish = Wish { size: self.size, rate: self.fps };
        let wanted = self.camera.clone();
        let find = move || find_camera(wanted.as_deref());
        find()?;
        // One that comes back may have another number.
        Ok(Box::new(move || Ok(Box::new(CameraSource::open(find()?, wish)?))))
    }

    #[cfg(not(feature = "camera"))]
    #[expect(clippy::unused_self, reason = "it is called as the one of the feature is")]
    fn open_camera(&self) -> Result<Open> {
        anyhow::bail!("this build of whycam reads no cameras (feature `camera`); try `whycam demo` or --input")
    }
}
