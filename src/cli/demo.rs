//! `whycam demo`

use std::iter;

use anyhow::Result;
use clap::Args;
use whycam::pipeline::Policy;
use whycam::plumbing::first_free;
use whycam::source::PatternSource;

use super::args::{ExplainArgs, GlobalArgs, size};
use super::output::{ExitStatus, report, say};
use super::run::PipelineRun;
use super::view::{ViewArgs, window};

#[derive(Args)]
pub struct Demo {
    /// The size of the pictures
    #[arg(long, value_name = "WxH", value_parser = size, default_value = "640x480")]
    size: (u32, u32),
    /// Pictures a second
    #[arg(long, value_name = "N", default_value_t = 30)]
    fps: u32,
    #[command(flatten)]
    view: ViewArgs,
    #[command(flatten)]
    explain: ExplainArgs,
}

/// Enough for each of the five classes once.
const FILM_FRAMES: u64 = 450;

impl Demo {
    pub fn run(mut self, global: &GlobalArgs) -> Result<ExitStatus> {
        let (size, rate) = (self.size, self.fps);
        let window = if self.view.headless { None } else { window(size.0, size.1).ok() };
        let in_window = window.is_some();
        if !in_window {
            self.record_instead(global);
        }
        let sinks = self.view.sinks(in_window, self.explain.model.settings.threads, &report(global.quiet))?;
        // For a window the source is endless, since frames may be dropped.
        let frames = if in_window { None } else { self.view.frames };
        let policy = if in_window { Policy::Newest } else { Policy::Block };
        PipelineRun {
            global,
            explain: &self.explain,
            open: Box::new(move |_| Ok(Box::new(PatternSource::new(size, rate, in_window, frames)?))),
            sinks,
            screen: window,
            options: self.view.pipeline_options(policy),
            explainers: None,
            pictures: self.view.record.is_some(),
            progress: !in_window,
            highest: None,
            taught: None,
        }
        .run()
    }

    /// Makes the demo one film of limited length. Without a display and a name for the film it prints which it writes.
    fn record_instead(&mut self, global: &GlobalArgs) {
        let view = &mut self.view;
        view.frames = view.frames.or(view.seconds.is_none().then_some(FILM_FRAMES));
        if !view.headless && view.record.is_none() {
            let further = (2..).map(|number| format!("whycam-demo-{number}.mp4"));
            let film = first_free(iter::once("whycam-demo.mp4".into()).chain(further));
            if !global.quiet {
                say(format_args!("no display; the demo goes into {}", film.display()));
            }
            view.record = Some(film);
        }
    }
}
