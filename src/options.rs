//! What to explain with.

use std::path::PathBuf;

use crate::cam::{self, Method};
use crate::device::Compute;
use crate::error::Result;

/// What to explain with. The default is the first embedded model with Grad-CAM.
#[derive(Clone, Debug, Default)]
pub struct ExplainerOptions {
    /// The name of an embedded model or the path of an ONNX file.
    pub model: Option<String>,
    /// A layer, or several with commas between them, whose maps are fused.
    pub layer: Option<String>,
    pub method: Option<String>,
    /// Labels or indices, `top` for the predicted class, `top3` for the three likeliest, or several of
    /// these with commas between them.
    pub class: Option<String>,
    /// Two classes with a comma between them: what speaks for the first against the second.
    pub contrast: Option<String>,
    /// One label a line, in the order of the logits.
    pub labels: Option<PathBuf>,
    /// The preprocessing of an ONNX file that has no manifest beside it.
    pub preset: Option<String>,
    /// Which of several outputs has the class scores.
    pub output: Option<String>,
    /// How maps of several layers become one.
    pub fusion: Fusion,
    pub compute: Compute,
    /// A folder in which models that explain themselves are kept, so that the next start is quick.
    pub cache: Option<PathBuf>,
    /// Weights that are drawn anew, to see what maps owe to the model.
    pub randomised: Option<Randomised>,
}

/// Which weights are drawn anew, each tensor of them from a normal distribution of its own mean and
/// deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Randomised {
    /// Of the model's weight tensors, counted from the logits down, 0..=1.
    pub share: f32,
    pub seed: u64,
}

impl ExplainerOptions {
    /// The method asked for, or the default.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn find_method(&self) -> Result<&'static Method> {
        cam::find(self.method.as_deref().unwrap_or(cam::METHODS[0].name))
    }
}

/// How maps of several layers become one, each enlarged to the finest grid and divided by its largest
/// value (Jiang et al., *LayerCAM*, IEEE TIP 2021, section III-C, without its tanh for early layers).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fusion {
    /// The largest of them at each place.
    #[default]
    Max,
    Mean,
}
