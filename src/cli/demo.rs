//! `whycam demo`

use std::iter;

use anyhow::Result;
use clap::Args;
use whycam::Error;
use whycam::overlay::Blend;
use whycam::pipeline::Policy;
use whycam::plumbing::first_free;
use whycam::source::PatternSource;

use super::args::{ExplainArgs, GlobalArgs, size};
use super::output::{ExitStatus, report, say};
use super::run::PipelineRun;
use super::view::ViewArgs;

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
        self.explain.style.usual_blend = Blend::Evidence;
        self.explain.model.settings.shares_processor = true;
        let (size, rate) = (self.size, self.fps);
        self.view.audience.start_log()?;
        // Without a display the demo becomes a film, unless it shall be shown.
        let is_film = self.view.audience.serve.is_none() && !self.view.audience.kiosk;
        let screen = match self.view.audience.screen(size, self.view.headless) {
            Err(error) if is_film && matches!(error.downcast_ref(), Some(Error::NoDisplay(_))) => None,
            screen => screen?,
        };
        let on_screen = screen.is_some();
        if !on_screen {
            self.record_instead(global);
        }
        let report = report(global.quiet);
        let sinks = || self.view.sinks(on_screen, self.explain.model.settings.threads, &report);
        // For a window the source is endless, since frames may be dropped.
        let frames = if on_screen { None } else { self.view.frames };
        let policy = if on_screen { Policy::Newest } else { Policy::Block };
        PipelineRun {
            global,
            explain: &self.explain,
            open: Box::new(move |_| Ok(Box::new(PatternSource::new(size, rate, on_screen, frames)?))),
            sinks: Box::new(sinks),
            screen,
            options: self.view.pipeline_options(policy, 1),
            explainers: None,
            pictures: self.view.pictures(),
            progress: !on_screen,
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
