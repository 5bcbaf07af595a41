//! `whycam prepare`

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use whycam::cam::{self, Inputs};
use whycam::grad::DetectorPart;
use whycam::model::{AugmentedModel, augment, load, locate, type_tensors};
use whycam::plumbing::{check_free, write_whole};
use whycam::{LayerName, Request};

use super::args::{GlobalArgs, LayerArgs, ModelSettings};
use super::output::{ExitStatus, UsageError, check_outputs, say};

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
        let augmented = prepared(&self.settings, &self.model, &self.layers, self.cam)?;
        write_whole(&self.out, augmented.model.to_bytes(), self.force)?;
        global.tell_guess(augmented.guess);
        if !global.quiet {
            augmented.notices.iter().for_each(say);
            say(format_args!("{} explains {}", self.out.display(), augmented.contract.layer));
        }
        Ok(ExitStatus::Done)
    }
}

/// A model that explains its predictions in any ONNX runtime; with `cam` it also gives the map.
///
/// # Errors
/// The model cannot be read or differentiated, or the layers are several.
pub fn prepared(settings: &ModelSettings, model: &str, layers: &LayerArgs, cam: bool) -> Result<AugmentedModel> {
    let mut request = Request::default();
    layers.apply(&mut request);
    let loaded = load(&settings.options(Some(model)))?;
    let typed = type_tensors(loaded)?;
    let mut located = locate(typed.clone(), &request)?;
    // A prepared file gives activations and gradients, which maps of attention do without.
    if matches!(located.method.inputs, Inputs::Attention(_)) {
        request.method = Some(cam::find("grad-cam")?);
        located = locate(typed.clone(), &request)?;
    }
    if located.targets.len() > 1 {
        if layers.layer.is_some() || located.task.as_detection().is_none() {
            return Err(UsageError("an augmented model explains one layer; name one with --layer".into()).into());
        }
        // A file has one map, and the heads of a detector are several layers.
        request.layers = vec![LayerName::from(DetectorPart::BACKBONE)];
        located = locate(typed, &request)?;
    }
    let mut augmented = augment(located, false)?;
    if cam {
        augmented.append_cam()?;
    }
    Ok(augmented)
}
