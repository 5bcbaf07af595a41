//! `whycam prepare`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use whycam::{ExplainerOptions, analyse};
use whycam::{check_free, write_whole};

use super::{Common, Status, say};

#[derive(Args)]
pub struct Prepare {
    /// A built-in model or an ONNX file
    #[arg(value_name = "MODEL")]
    name: String,
    #[arg(short, value_name = "OUT.onnx")]
    output: PathBuf,
    /// Give the Grad-CAM map too, as the output `cam`
    #[arg(long)]
    cam: bool,
    /// Overwrite what is there
    #[arg(long)]
    force: bool,
}

impl Prepare {
    pub fn run(self, common: &Common) -> Result<Status> {
        common.tell_runtime()?;
        check_free(&self.output, self.force)?;
        let options = ExplainerOptions { model: Some(self.name), ..common.explainer_options() };
        let mut prepared = analyse(&options)?.prepare()?;
        if self.cam {
            prepared.append_cam()?;
        }
        write_whole(&self.output, prepared.model.to_bytes(), self.force)?;
        common.tell_guess(prepared.guess);
        if !common.quiet {
            say(format_args!("{} explains {}", self.output.display(), prepared.layer));
        }
        Ok(Status::Done)
    }
}
