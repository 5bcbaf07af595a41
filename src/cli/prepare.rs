//! `whycam prepare`

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use whycam::model::prepared;
use whycam::plumbing::{check_free, write_whole};

use super::args::{GlobalArgs, LayerArgs, ModelSettings};
use super::output::{ExitStatus, check_outputs, say};

#[derive(Args)]
pub struct Prepare {
    /// A built-in model or an ONNX file
    #[arg(value_name = "MODEL")]
    model: String,
    #[arg(short, value_name = "OUT.onnx")]
    out: PathBuf,
    /// Also give the Grad-CAM map, as the output `cam`
    #[arg(long)]
    cam: bool,
    #[command(flatten)]
    settings: ModelSettings,
    #[command(flatten)]
    layers: LayerArgs,
    /// Overwrite the file if it exists
    #[arg(long)]
    force: bool,
}

impl Prepare {
    pub fn run(self, global: &GlobalArgs) -> Result<ExitStatus> {
        global.tell_runtime()?;
        check_outputs(&[Some(&self.out)], &[Path::new(&self.model)])?;
        check_free(&self.out, self.force)?;
        let augmented = prepared(&self.settings.options(Some(&self.model)), &self.layers.request(), self.cam)?;
        write_whole(&self.out, augmented.model.to_bytes(), self.force)?;
        global.tell_guess(augmented.guess);
        if !global.quiet {
            augmented.notices.iter().for_each(say);
            say(format_args!("{} explains {}", self.out.display(), augmented.contract.layer));
        }
        Ok(ExitStatus::Done)
    }
}
