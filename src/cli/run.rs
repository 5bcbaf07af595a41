//! Running the pipeline from the command line: Ctrl-C, the progress bar, the closing line.

use std::collections::HashMap;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use whycam::ModelOptions;
use whycam::pipeline::{self, LiveScreen, Opener, Options, Outcome, Outputs, Policy, Progress, Stop, Teaching, Worker};
use whycam::plumbing::{Report, first_free};
use whycam::screen::{Pace, Screen};
use whycam::sink::{Encoding, Sink};
use whycam::teach::PupilOptions;

use super::allocator;
use super::args::{ExplainArgs, GlobalArgs, MapArgs};
use super::encode::recording;
use super::output::{ExitStatus, say};
use super::teach::album_of;

/// How often `-v` prints how live view keeps up.
const PACE_INTERVAL: Duration = Duration::from_secs(1);
/// How often live view gives memory back.
const GIVE_BACK_INTERVAL: Duration = Duration::from_secs(10);

pub type OpenSinks<'c> = Box<dyn FnOnce() -> Result<Vec<Box<dyn Sink>>> + 'c>;

/// One run of the pipeline.
pub struct PipelineRun<'c> {
    pub global: &'c GlobalArgs,
    pub explain: &'c ExplainArgs,
    pub open: Opener,
    /// Opens what frames are written to, once the model is read.
    pub sinks: OpenSinks<'c>,
    pub screen: Option<Box<dyn Screen>>,
    pub options: Options,
    /// The number of explainers that share the frames, and the threads of each. `None` is one with all threads.
    pub explainers: Option<(usize, usize)>,
    /// Whether a sink writes pictures, so that the overlay is drawn.
    pub pictures: bool,
    /// Whether the work has a known end, so that a progress bar helps.
    pub progress: bool,
    /// The largest value of each film's maps, for `--scale film`.
    pub highest: Option<HashMap<String, f32>>,
    /// What is taught from the start. Otherwise a key begins it.
    pub taught: Option<PupilOptions>,
}

impl PipelineRun<'_> {
    /// Runs to the end and prints how many frames were explained.
    pub fn run(mut self) -> Result<ExitStatus> {
        let workers = self.workers()?;
        allocator::give_back();
        let mut sinks = (self.sinks)()?;
        let stop = stop_on_ctrl_c()?;
        let bar = if self.progress && !self.global.quiet { progress_bar() } else { ProgressBar::hidden() };
        let live = self.options.policy == Policy::Newest;
        let report = reporter(bar.clone(), live, self.global.verbose);
        let options = || self.taught.clone().unwrap_or_else(|| taught_by_key(self.explain));
        let request = MapArgs::at(&self.explain.map.method, &self.explain.map.layers).request()?;
        let screen = match &mut self.screen {
            Some(screen) => Some(LiveScreen {
                screen: screen.as_mut(),
                overlay: self.explain.style.overlay(None)?,
                pictures: self.pictures,
                record: &recording_of_key,
                teaching: Teaching { options: &options, request, at_once: self.taught.is_some() },
            }),
            None => None,
        };
        let outputs = Outputs { sinks: &mut sinks, screen };
        let outcome = pipeline::run(self.open, workers, outputs, &self.options, &stop, report);
        bar.finish_and_clear();
        let began = outcome.error.is_none() || outcome.counts.explained > 0;
        if began && !self.global.quiet {
            say(summary(&outcome, live));
        }
        if let Some(error) = outcome.error {
            return Err(error.into());
        }
        Ok(if stop.is_requested() { ExitStatus::Interrupted } else { ExitStatus::Done })
    }

    fn workers(&self) -> Result<Vec<Worker>> {
        let explainers = if let Some((count, threads)) = self.explainers {
            self.explain.explainers(self.global, count, threads)?
        } else {
            let mut explainer = self.explain.explainer(self.global)?;
            explainer.follow_objects();
            vec![explainer]
        };
        let draws = self.pictures && self.screen.is_none();
        let worker = |explainer| {
            let overlay = if draws { Some(self.explain.style.overlay(self.highest.as_ref())?) } else { None };
            Ok(Worker { explainer, overlay })
        };
        explainers.into_iter().map(worker).collect()
    }
}

/// Moves the bar, gives memory back in live view, and prints how that keeps up if it is asked to be `verbose`.
fn reporter(bar: ProgressBar, live: bool, verbose: bool) -> impl FnMut(&Progress) {
    let (mut last_told, mut last_given_back) = (Instant::now(), Instant::now());
    move |progress| {
        // What methods and layers took that are not shown any more.
        if live && last_given_back.elapsed() >= GIVE_BACK_INTERVAL {
            allocator::give_back();
            last_given_back = Instant::now();
        }
        if live && verbose && last_told.elapsed() >= PACE_INTERVAL {
            let Pace { age, captured, explained, dropped } = progress.pace;
            let age = age.as_millis();
            say(format_args!(
                "{age} ms old, {captured:.1} captured and {explained:.1} explained a second, {dropped} dropped"
            ));
            last_told = Instant::now();
        }
        if let Some(total) = progress.total {
            bar.set_length(total.max(progress.explained));
        }
        bar.set_position(progress.explained);
    }
}

/// A film that a key starts, under the first free name in the current folder.
fn recording_of_key() -> whycam::Result<(String, Box<dyn Sink>)> {
    let name = first_free((1..).map(|number| format!("whycam-{number}.mp4")));
    let sink = recording(name.clone(), Encoding::default(), false, Policy::Newest, Report::silent())?;
    Ok((name.display().to_string(), sink))
}

/// What a key begins to teach, under the first free name in the current folder: new classes on the features of `objects`.
fn taught_by_key(explain: &ExplainArgs) -> PupilOptions {
    let names = (1..).map(|number| if number == 1 { "taught".to_owned() } else { format!("taught-{number}") });
    let free = |name: &String| !Path::new(name).exists() && !Path::new(&format!("{name}.toml")).exists();
    let out = first_free(names.filter(free).map(|name| format!("{name}.onnx")));
    let mut backbone = ModelOptions::default();
    backbone.model = "objects".into();
    backbone.compute = explain.model.options().compute;
    PupilOptions { backbone, album: album_of(&out), out, classes: Vec::new() }
}

fn summary(outcome: &Outcome, live: bool) -> String {
    let counts = outcome.counts;
    let seconds = outcome.elapsed.as_secs_f64();
    let rate = counts.explained as f64 / seconds.max(1e-9);
    let ages = outcome.ages;
    let left_out = match outcome.left_out {
        0 => String::new(),
        frames => format!("; {frames} not recorded or sent, since encoding did not keep up or the receiver was gone"),
    };
    let age = format!("; {} ms old when shown, {} at most", ages.mean().as_millis(), ages.most.as_millis());
    format!(
        "captured {} = explained {} + dropped {}, in {seconds:.1} s ({rate:.1} a second){}{left_out}",
        counts.captured,
        counts.explained,
        counts.dropped,
        if live { age.as_str() } else { "" }
    )
}

pub fn progress_bar() -> ProgressBar {
    let template = "{wide_bar:.green/white} {pos}/{len}  {per_sec}  {eta} left";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(0).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// The first Ctrl-C requests the end, so that files are completed. The second exits at once.
pub fn stop_on_ctrl_c() -> Result<Stop> {
    // One handler serves both runs over a film.
    static STOP: OnceLock<Stop> = OnceLock::new();
    if let Some(stop) = STOP.get() {
        return Ok(stop.clone());
    }
    let stop = STOP.get_or_init(Stop::default).clone();
    let requested = stop.clone();
    ctrlc::set_handler(move || {
        if requested.request() {
            std::process::exit(130);
        }
    })
    .context("cannot watch for Ctrl-C")?;
    Ok(stop)
}
