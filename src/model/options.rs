//! Which model, and how it runs.

use std::fmt;
use std::path::PathBuf;

use super::embedded::{EMBEDDED, Embedded};
use super::preset::Preset;
use crate::grad::Probability;
use crate::session::Compute;

/// Which model, and how it runs. The default is the first embedded model.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ModelOptions {
    pub model: ModelSource,
    /// A file of labels, one a line, in the order of the logits; or the name of a built-in list, `coco` or `imagenet`.
    pub labels: Option<PathBuf>,
    /// The preprocessing of an ONNX file, in place of its manifest and of a guess.
    pub preset: Option<Preset>,
    /// The output that has the class scores, where the model has several outputs.
    pub output: Option<String>,
    /// What the outputs mean, in place of what the graph tells.
    pub task: Option<&'static str>,
    /// How the logits of a detector become scores, where the graph does not do it.
    pub scores: Option<Probability>,
    /// Width and height that pictures are resized to, where the model leaves them open.
    pub input_size: Option<(u32, u32)>,
    pub compute: Compute,
    /// A folder that keeps augmented models, so that the next start is quick.
    pub cache: Option<PathBuf>,
    /// Weights that are drawn at random, to test how much maps depend on the weights.
    pub randomised: Option<Randomised>,
}

/// Where a model comes from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ModelSource {
    Embedded(&'static Embedded),
    File(PathBuf),
}

impl Default for ModelSource {
    fn default() -> Self {
        Self::Embedded(&EMBEDDED[0])
    }
}

impl From<&str> for ModelSource {
    /// The embedded model of this name, or else a file.
    fn from(name: &str) -> Self {
        let embedded = EMBEDDED.iter().find(|embedded| embedded.name == name);
        embedded.map_or_else(|| Self::File(name.into()), Self::Embedded)
    }
}

impl From<PathBuf> for ModelSource {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl fmt::Display for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Embedded(embedded) => f.write_str(embedded.name),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Which weights are drawn at random, each tensor from a normal distribution with its own mean and deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Randomised {
    /// The share of the model's weight tensors, counted from the logits down, 0..=1.
    pub share: f32,
    pub seed: u64,
}
