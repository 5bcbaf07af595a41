//! `whycam live`

use std::path::Path;

use anyhow::Result;
use clap::Args;
use whycam::pipeline::Policy;

use super::args::{ExplainArgs, GlobalArgs};
use super::output::{ExitStatus, check_outputs, report};
use super::run::PipelineRun;
use super::source_args::SourceArgs;
use super::view::{ViewArgs, window};

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
        self.explain.map.detections.each = self.view.json.is_some();
        let report = report(global.quiet);
        let open = self.source.opener(self.view.headless, &report)?;
        let read: Vec<&Path> = self.source.file().into_iter().chain(self.explain.model.files()).collect();
        let outputs = [self.view.record.as_deref(), self.view.json.as_deref()];
        check_outputs(&outputs, &read)?;
        let in_window = !self.view.headless;
        let sinks = self.view.sinks(in_window, self.explain.model.settings.threads, &report)?;
        let screen = if in_window { Some(window(640, 480)?) } else { None };
        PipelineRun {
            global,
            explain: &self.explain,
            open,
            sinks,
            screen,
            options: self.view.pipeline_options(Policy::Newest),
            explainers: None,
            pictures: self.view.record.is_some(),
            progress: false,
            highest: None,
            taught: None,
        }
        .run()
    }
}
