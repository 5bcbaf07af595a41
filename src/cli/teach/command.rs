//! What is taught, and where it goes.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::{folder, live};
use crate::cli::args::{GlobalArgs, LayerArgs, MethodArgs, ModelSettings};
use crate::cli::output::ExitStatus;
use crate::cli::source_args::SourceArgs;
use crate::cli::style_args::StyleArgs;
use crate::cli::view::ViewArgs;

#[derive(Args)]
pub struct Teach {
    /// A folder of class folders, such as things/mug/1.jpg
    #[arg(value_name = "DIR", required_unless_present = "live", conflicts_with = "live")]
    pub folder: Option<PathBuf>,
    /// Teach what the camera sees: hold 1 to 9 to take pictures of a class
    #[arg(long)]
    pub live: bool,
    /// The names of the classes, in the order of their keys
    #[arg(long, value_name = "A,B,…", requires = "live")]
    pub classes: Option<String>,
    /// The model to write; its manifest is written next to it, and the pictures of --live go to a folder of its name
    #[arg(short, value_name = "OUT.onnx", default_value = "taught.onnx")]
    pub out: PathBuf,
    /// The model whose features are kept: a classifier or an embedding
    #[arg(long, value_name = "NAME|FILE|DIR", default_value = "objects")]
    pub backbone: String,
    /// The seed of the folds
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub settings: ModelSettings,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub view: ViewArgs,
    #[command(flatten)]
    pub method: MethodArgs,
    #[command(flatten)]
    pub layers: LayerArgs,
    #[command(flatten)]
    pub style: StyleArgs,
}

/// Options that teaching from a folder takes. Those of live view need --live.
pub const OF_FOLDER: &[&str] = &[
    "folder",
    "out",
    "backbone",
    "seed",
    "json",
    "force",
    "task",
    "preset",
    "output",
    "input_size",
    "feed",
    "threads",
    "device",
];
/// Options of other models, which teaching never takes.
pub const NEVER: &[&str] =
    &["scores", "background", "labels", "like", "words", "text_model", "tokenizer", "logit_scale", "logit_bias"];

impl Teach {
    pub fn run(self, global: &GlobalArgs) -> Result<ExitStatus> {
        if self.live { live::teach(self, global) } else { folder::teach(&self, global) }
    }
}
