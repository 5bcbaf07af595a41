//! `whycam live`

use std::path::Path;

use anyhow::Result;
use clap::Args;
use whycam::overlay::Blend;
use whycam::pipeline::Policy;

use super::args::{ExplainArgs, GlobalArgs};
use super::output::{ExitStatus, UsageError, check_outputs, report};
use super::run::PipelineRun;
use super::source_args::SourceArgs;
use super::view::ViewArgs;

#[derive(Args)]
pub struct Live {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    view: ViewArgs,
    #[command(flatten)]
    explain: ExplainArgs,
}

impl Live {
    pub fn run(mut self, global: &GlobalArgs) -> Result<ExitStatus> {
        self.explain.style.usual_blend = Blend::Evidence;
        self.explain.model.settings.shares_processor = true;
        self.explain.map.detections.each = self.view.json.is_some();
        let report = report(global.quiet);
        self.view.audience.start_log()?;
        let open = self.source.opener(self.view.ends(), &report)?;
        let read: Vec<&Path> = self.source.files().chain(self.explain.model.files()).collect();
        if self.source.lanes() > 1 && self.view.pictures() {
            return Err(UsageError("a recording has one source; leave the others out".into()).into());
        }
        let outputs = [self.view.record.as_deref(), self.view.json.as_deref()];
        check_outputs(&outputs, &read)?;
        let screen = self.view.audience.screen((640, 480), self.view.headless)?;
        let on_screen = screen.is_some();
        let sinks = || self.view.sinks(on_screen, self.explain.model.settings.threads, &report);
        PipelineRun {
            global,
            explain: &self.explain,
            open,
            sinks: Box::new(sinks),
            screen,
            options: self.view.pipeline_options(Policy::Newest, self.source.lanes()),
            explainers: None,
            pictures: self.view.pictures(),
            progress: false,
            highest: None,
            taught: None,
        }
        .run()
    }
}
