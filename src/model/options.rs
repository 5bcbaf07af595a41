//! Which model, and how it runs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;

use super::embedded::{EMBEDDED, Embedded};
use super::preset::Preset;
use crate::grad::OutputReading;
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
    /// How the outputs are read, where the graph does not tell.
    pub reading: OutputReading,
    /// Width and height that pictures are resized to, where the model leaves them open.
    pub input_size: Option<(u32, u32)>,
    /// What further inputs of the model are given.
    pub feed: Vec<Feed>,
    /// What an embedding is compared with.
    pub comparison: Comparison,
    pub compute: Compute,
    /// A folder that keeps augmented models, so that the next start is quick.
    pub cache: Option<PathBuf>,
    /// Weights that are drawn at random, to test how much maps depend on the weights.
    pub randomised: Option<Randomised>,
}

/// What an input of a model other than the picture is given in every run.
#[derive(Clone, Debug, PartialEq)]
pub struct Feed {
    /// The name of the input.
    pub input: String,
    pub value: FeedValue,
}

/// The value of an input.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum FeedValue {
    /// A number that fills the input.
    Number(f64),
    /// A `.npy` file.
    File(PathBuf),
}

impl FeedValue {
    /// With the path of a file counted from a folder.
    #[must_use]
    pub fn within(&self, folder: &Path) -> Self {
        match self {
            Self::Number(_) => self.clone(),
            Self::File(path) => Self::File(folder.join(path)),
        }
    }
}

impl FromStr for Feed {
    type Err = String;

    /// Parses `NAME=NUMBER` or `NAME=FILE.npy`.
    fn from_str(text: &str) -> Result<Self, String> {
        let pair = text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty());
        let (name, value) = pair.ok_or("give NAME=NUMBER or NAME=FILE.npy")?;
        let value = value.parse().map_or_else(|_| FeedValue::File(value.into()), FeedValue::Number);
        Ok(Self { input: name.to_owned(), value })
    }
}

/// What an embedding is compared with, and how likeness becomes a logit.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    pub references: Vec<Reference>,
    /// The model that embeds words; without one, it is searched next to the model of pictures.
    pub text_model: Option<PathBuf>,
    /// Its tokenizer, a `tokenizer.json`.
    pub tokenizer: Option<PathBuf>,
    /// What cosines are multiplied by.
    pub scale: Option<f32>,
    /// What is added to them.
    pub bias: Option<f32>,
}

/// Something that an embedding is compared with. References of one name stand for one class, by their mean.
#[derive(Clone, Debug, PartialEq)]
pub enum Reference {
    /// A picture, or the model's input as a `.npy` file.
    Picture {
        name: String,
        path: PathBuf,
    },
    /// An embedding.
    Vector {
        name: String,
        values: Vec<f32>,
    },
    Words(String),
}

impl Reference {
    /// The name of its class.
    pub fn name(&self) -> &str {
        match self {
            Self::Picture { name, .. } | Self::Vector { name, .. } | Self::Words(name) => name,
        }
    }

    /// Parses `NAME=PICTURE`.
    ///
    /// # Errors
    /// It has another form.
    pub fn parse_picture(text: &str) -> Result<Self, String> {
        let pair = text.split_once('=').map(|(name, path)| (name.trim(), path));
        let (name, path) =
            pair.filter(|(name, path)| !name.is_empty() && !path.is_empty()).ok_or("give NAME=PICTURE")?;
        Ok(Self::Picture { name: name.to_owned(), path: path.into() })
    }

    /// The words of a list that is separated by commas.
    pub fn parse_words(text: &str) -> Vec<Self> {
        let words = text.split(',').map(str::trim).filter(|words| !words.is_empty());
        words.map(|words| Self::Words(words.to_owned())).collect()
    }
}

impl Comparison {
    /// The names of the classes, each once, in the order of the references.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for reference in &self.references {
            if names.iter().all(|name| name != reference.name()) {
                names.push(reference.name().to_owned());
            }
        }
        names
    }
}

impl fmt::Display for Feed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.value {
            FeedValue::Number(number) => write!(f, "{}={number}", self.input),
            FeedValue::File(path) => write!(f, "{}={}", self.input, path.display()),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Picture { name, path } => write!(f, "{name}={}", path.display()),
            Self::Vector { name, .. } => write!(f, "{name}: an embedding"),
            Self::Words(words) => write!(f, "words: {words}"),
        }
    }
}

/// Where a model comes from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ModelSource {
    Embedded(&'static Embedded),
    File(PathBuf),
    /// The bytes of an ONNX file whose weights are inside it.
    Bytes(Arc<[u8]>),
}

/// What a model that has no file is called.
pub const UNNAMED: &str = "model";

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
            Self::Bytes(_) => f.write_str(UNNAMED),
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
