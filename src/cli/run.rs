//! Running the pipeline from the command line: Ctrl-C, the progress bar, the closing line.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use whycam::pipeline::{self, Options, Outcome, Stop};
use whycam::sink::Sink;
use whycam::source::Source;

use super::{Common, Status};

/// One run of the pipeline.
pub struct Run<'c> {
    pub common: &'c Common,
    pub open: Box<dyn FnOnce() -> whycam::Result<Box<dyn Source>> + Send>,
    pub sinks: Vec<Box<dyn Sink>>,
    pub options: Options,
    /// Whether a sink shows pictures, so that the overlay is drawn.
    pub pictures: bool,
    /// Whether the work has an end to show the way to.
    pub progress: bool,
    /// The largest values of the films' maps, where colours are to stand for the same in all frames.
    pub tops: Option<HashMap<String, f32>>,
}

impl Run<'_> {
    /// Runs to the end and says what became of the frames.
    pub fn run(mut self) -> Result<Status> {
        let explainer = self.common.explainer()?;
        let overlay = if self.pictures { Some(self.common.overlay(self.tops.take())?) } else { None };
        let stop = stop_on_ctrl_c()?;
        let bar = if self.progress && !self.common.quiet { progress_bar() } else { ProgressBar::hidden() };
        let report = |progress: &pipeline::Progress| {
            if let Some(total) = progress.total {
                bar.set_length(total.max(progress.explained));
            }
            bar.set_position(progress.explained);
        };
        let outcome = pipeline::run(self.open, explainer, overlay, &mut self.sinks, &self.options, &stop, report);
        bar.finish_and_clear();
        let began = outcome.error.is_none() || outcome.counts.explained > 0;
        if began && !self.common.quiet {
            eprintln!("whycam: {}", summary(&outcome));
        }
        if let Some(error) = outcome.error {
            return Err(error.into());
        }
        Ok(if stop.is_requested() { Status::Interrupted } else { Status::Done })
    }
}

fn summary(outcome: &Outcome) -> String {
    let counts = outcome.counts;
    let seconds = outcome.elapsed.as_secs_f64();
    let rate = counts.explained as f64 / seconds.max(1e-9);
    format!(
        "captured {} = explained {} + dropped {}, in {seconds:.1} s ({rate:.1} a second)",
        counts.captured, counts.explained, counts.dropped
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
