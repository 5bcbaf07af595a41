//! Running the pipeline from the command line: Ctrl-C, the progress bar, the closing line.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use whycam::first_free;
use whycam::pipeline::{self, Lane, LiveScreen, Opener, Options, Outcome, Outputs, Policy, Stop};
use whycam::screen::{Pace, Screen};
use whycam::sink::{Encoding, Sink};

use super::{Common, Status, say};
use crate::memory;

/// How often `-v` says how live view keeps up.
const PACE_EVERY: Duration = Duration::from_secs(1);

/// One run of the pipeline.
pub struct Run<'c> {
    pub common: &'c Common,
    pub open: Opener,
    pub sinks: Vec<Box<dyn Sink>>,
    pub screen: Option<Box<dyn Screen>>,
    pub options: Options,
    /// Explainers that share frames out, and the threads of each; `None` is one that has all threads.
    pub explainers: Option<(usize, usize)>,
    /// Whether a sink writes pictures, so that the overlay is drawn.
    pub pictures: bool,
    /// Whether the work has an end to show the way to.
    pub progress: bool,
    /// The largest values of the films' maps, where colours are to stand for the same in all frames.
    pub tops: Option<HashMap<String, f32>>,
}

impl Run<'_> {
    /// Runs to the end and says what became of the frames.
    pub fn run(mut self) -> Result<Status> {
        let explainers = match self.explainers {
            Some((count, threads)) => self.common.explainers(count, threads)?,
            None => vec![self.common.explainer()?],
        };
        let draws = self.pictures && self.screen.is_none();
        let lane = |explainer| {
            let overlay = if draws { Some(self.common.overlay(self.tops.as_ref())?) } else { None };
            Ok(Lane { explainer, overlay })
        };
        let lanes = explainers.into_iter().map(lane).collect::<Result<Vec<_>>>()?;
        memory::give_back();
        let stop = stop_on_ctrl_c()?;
        let bar = if self.progress && !self.common.quiet { progress_bar() } else { ProgressBar::hidden() };
        let live = self.options.policy == Policy::Newest;
        let mut said = Instant::now();
        let report = |progress: &pipeline::Progress| {
            if live && self.common.verbose && said.elapsed() >= PACE_EVERY {
                let Pace { age, captured, explained, dropped } = progress.pace;
                let age = age.as_millis();
                say(format_args!(
                    "{age} ms old, {captured:.1} captured and {explained:.1} explained a second, {dropped} dropped"
                ));
                said = Instant::now();
            }
            if let Some(total) = progress.total {
                bar.set_length(total.max(progress.explained));
            }
            bar.set_position(progress.explained);
        };
        let screen = match &mut self.screen {
            Some(screen) => Some(LiveScreen {
                screen: screen.as_mut(),
                overlay: self.common.overlay(None)?,
                pictures: self.pictures,
                record: &recording,
            }),
            None => None,
        };
        let outputs = Outputs { sinks: &mut self.sinks, screen };
        let outcome = pipeline::run(self.open, lanes, outputs, &self.options, &stop, report);
        bar.finish_and_clear();
        let began = outcome.error.is_none() || outcome.counts.explained > 0;
        if began && !self.common.quiet {
            say(format_args!("{}", summary(&outcome, live)));
        }
        if let Some(error) = outcome.error {
            return Err(error.into());
        }
        Ok(if stop.is_requested() { Status::Interrupted } else { Status::Done })
    }
}

/// A film that is begun by a key, under the first free name in the current folder.
fn recording() -> whycam::Result<(String, Box<dyn Sink>)> {
    let name = first_free((1..).map(|number| format!("whycam-{number}.mp4")));
    let sink = super::live::recording(name.clone(), Encoding::default(), false, Policy::Newest)?;
    Ok((name.display().to_string(), sink))
}

fn summary(outcome: &Outcome, live: bool) -> String {
    let counts = outcome.counts;
    let seconds = outcome.elapsed.as_secs_f64();
    let rate = counts.explained as f64 / seconds.max(1e-9);
    let ages = outcome.ages;
    let left_out = match outcome.left_out {
        0 => String::new(),
        frames => format!("; {frames} left out of the recording, since encoding did not keep up"),
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

/// The first Ctrl-C asks for the end, so that files are closed; the second leaves at once.
fn stop_on_ctrl_c() -> Result<Stop> {
    // One handler serves all runs of the program, the first of a film and the second.
    static STOP: OnceLock<Stop> = OnceLock::new();
    if let Some(stop) = STOP.get() {
        return Ok(stop.clone());
    }
    let stop = STOP.get_or_init(Stop::default).clone();
    let asked = stop.clone();
    ctrlc::set_handler(move || {
        if asked.request() {
            std::process::exit(130);
        }
    })
    .context("cannot watch for Ctrl-C")?;
    Ok(stop)
}
