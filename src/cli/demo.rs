//! `whycam demo`

use std::iter;

use anyhow::Result;
use clap::Args;
use whycam::first_free;
use whycam::pipeline::Policy;
use whycam::source::PatternSource;

use super::live::{View, size, window};
use super::run::Run;
use super::{Common, Status, say};

#[derive(Args)]
pub struct Demo {
    /// The pictures' size
    #[arg(long, value_name = "WxH", value_parser = size, default_value = "640x480")]
    size: (u32, u32),
    /// The pictures' number a second
    #[arg(long, value_name = "N", default_value_t = 30)]
    fps: u32,
    #[command(flatten)]
    view: View,
}

/// Each of the five kinds once.
const FILM_FRAMES: u64 = 450;

impl Demo {
    pub fn run(mut self, common: &Common) -> Result<Status> {
        let (size, rate) = (self.size, self.fps);
        let window = if self.view.headless { None } else { window(size.0, size.1).ok() };
        let shown = window.is_some();
        if !shown {
            self.view.frames = self.view.frames.or(self.view.seconds.is_none().then_some(FILM_FRAMES));
            if !self.view.headless && self.view.record.is_none() {
                let further = (2..).map(|number| format!("whycam-demo-{number}.mp4"));
                let film = first_free(iter::once("whycam-demo.mp4".into()).chain(further));
                if !common.quiet {
                    say(format_args!("no display; the demo goes into {}", film.display()));
                }
                self.view.record = Some(film);
            }
        }
        let sinks = self.view.files(shown, common)?;
        // In a window some frames may be dropped, so that the source must have more of them.
        let frames = if shown { None } else { self.view.frames };
        let policy = if shown { Policy::Newest } else { Policy::Block };
        Run {
            common,
            open: Box::new(move |_| Ok(Box::new(PatternSource::new(size, rate, shown, frames)?))),
            sinks,
            screen: window,
            options: self.view.limits(policy),
            explainers: None,
            pictures: self.view.record.is_some(),
            progress: !shown,
            tops: None,
        }
        .run()
    }
}
