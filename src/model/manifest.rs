//! Manifests: labels and preprocessing, which an ONNX file lacks.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

use super::label_sets::{LABEL_SETS, label_set};
use super::options::FeedValue;
use crate::error::{Error, Result};
use crate::files::limits;
use crate::grad::{Background, BoxOrder, OutputReading, Probability, TASKS};

/// A model's `NAME.toml`.
#[derive(Clone, Debug, Deserialize)]
pub struct Manifest {
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// One label a class, in the order of the logits; or the name of a built-in list, `coco` or `imagenet`.
    #[serde(default, deserialize_with = "labels")]
    pub labels: Vec<String>,
    /// What the outputs mean, where the graph does not tell: one of [`TASKS`](crate::grad::TASKS).
    #[serde(default)]
    pub task: Option<String>,
    /// How logits become scores, where the graph does not tell.
    #[serde(default)]
    pub scores: Option<Probability>,
    /// Which class of a detector's softmax stands for "no object".
    #[serde(default)]
    pub background: Option<Background>,
    /// What the four numbers of a detector's box are.
    #[serde(default)]
    pub box_order: Option<BoxOrder>,
    /// The method that explains this model best, where it is not the task's usual one.
    #[serde(default)]
    pub method: Option<String>,
    /// The target layer, where it is not the default one; several layers are separated by commas.
    #[serde(default)]
    pub layer: Option<String>,
    /// How far the heat of that layer lies to the right of and below what it shows, in pixels of the input, beyond what
    /// strides and padding tell: `[x, y]`.
    #[serde(default)]
    pub shift: Option<[f32; 2]>,
    /// The output with the class scores, where it is not the first of that form.
    #[serde(default)]
    pub output: Option<String>,
    #[serde(default)]
    pub licence: String,
    #[serde(default)]
    pub sha256: String,
    pub input: InputSpec,
    /// What further inputs are given: a number, or the name of a `.npy` file.
    #[serde(default)]
    pub feed: BTreeMap<String, FeedValue>,
    #[serde(default)]
    pub known: Option<Known>,
    #[serde(default)]
    pub accuracy: Option<Accuracy>,
}

/// Inputs the model itself says whether a picture shows any of its classes.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Known {
    /// A float32 output `[N]`: the familiarity of the picture; larger is more familiar.
    pub output: String,
    /// Below this the picture shows none of the classes.
    pub least: f32,
}

/// Inputs a picture becomes the model's input: `(pixel * scale - mean) / std`, pixels in 0..=255.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct InputSpec {
    pub width: usize,
    pub height: usize,
    /// 3, or 1 for grey pictures.
    #[serde(default = "three")]
    pub channels: usize,
    #[serde(default)]
    pub layout: Layout,
    #[serde(default)]
    pub colour: Colour,
    #[serde(default)]
    pub fit: Fit,
    pub scale: f32,
    #[serde(default = "zeros")]
    pub mean: [f32; 3],
    #[serde(default = "ones")]
    pub std: [f32; 3],
    /// With [`Fit::Crop`], the share of the shorter side that is kept.
    #[serde(default = "whole")]
    pub crop: f32,
    /// The level of the bars of a letterbox, 0..=255.
    #[serde(default)]
    pub bars: u8,
    #[serde(default)]
    pub resample: Resample,
}

/// How pixels are interpolated where a picture is resized, with antialiasing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Resample {
    #[default]
    Bilinear,
    /// By Catmull and Rom's spline, as Pillow.
    Bicubic,
}

/// Shares of photos classified correctly, 0..=1, each where it was measured.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Accuracy {
    /// On photos that only temperature and limits were chosen by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val: Option<f32>,
    /// On photos that nothing was chosen by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<f32>,
    /// By cross-validation on the photos that it was taught from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cross_validated: Option<f32>,
    /// As the makers of the weights state it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated: Option<f32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum Layout {
    #[default]
    #[serde(rename = "NCHW")]
    ChannelsFirst,
    #[serde(rename = "NHWC")]
    ChannelsLast,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum Colour {
    #[default]
    #[serde(rename = "RGB")]
    Rgb,
    #[serde(rename = "BGR")]
    Bgr,
}

/// Inputs a frame of another aspect ratio meets the model's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// The whole frame; the aspect ratio changes.
    Stretch,
    /// The largest part from the centre.
    #[default]
    Crop,
    /// The whole frame, with bars on both sides.
    Letterbox,
    /// The whole frame in the upper left corner, with bars on the right or below.
    Corner,
}

fn labels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "labels are a list of names, or the name of a built-in list")]
    enum Labels {
        List(Vec<String>),
        Named(String),
    }
    match Labels::deserialize(deserializer)? {
        Labels::List(labels) => Ok(labels),
        Labels::Named(name) => label_set(&name).ok_or_else(|| {
            let known = LABEL_SETS.join(", ");
            serde::de::Error::custom(format!("there is no list of labels '{name}'; built-in lists are {known}"))
        }),
    }
}

fn three() -> usize {
    3
}

fn zeros() -> [f32; 3] {
    [0.0; 3]
}

fn ones() -> [f32; 3] {
    [1.0; 3]
}

fn whole() -> f32 {
    1.0
}

impl InputSpec {
    /// The value of middle grey in each channel of the input.
    pub fn grey(&self) -> Vec<f32> {
        (0..self.channels).map(|channel| (127.5 * self.scale - self.mean[channel]) / self.std[channel]).collect()
    }

    /// The shape of the input for one picture: `[1,C,h,w]` or `[1,h,w,C]`.
    pub fn shape(&self) -> Vec<usize> {
        match self.layout {
            Layout::ChannelsFirst => vec![1, self.channels, self.height, self.width],
            Layout::ChannelsLast => vec![1, self.height, self.width, self.channels],
        }
    }

    /// # Errors
    /// A number is out of range.
    pub fn check(&self) -> Result<(), String> {
        let most = limits::LONGEST_SIDE;
        if !(1..=most).contains(&self.width) || !(1..=most).contains(&self.height) {
            return Err(format!("input size {}x{} is not within 1 to {most}", self.width, self.height));
        }
        if !matches!(self.channels, 1 | 3) {
            return Err(format!("{} channels are neither 1 nor 3", self.channels));
        }
        let numbers = [self.scale].into_iter().chain(self.mean).chain(self.std);
        if numbers.into_iter().any(|number| !number.is_finite()) {
            return Err("scale, mean and std must be numbers".into());
        }
        if self.std.contains(&0.0) || !(self.crop > 0.0 && self.crop <= 1.0) {
            return Err("std must not hold 0, and crop must lie above 0 and up to 1".into());
        }
        Ok(())
    }
}

impl Manifest {
    /// What is known of a model without a manifest.
    pub fn bare(name: String, labels: Vec<String>, input: InputSpec) -> Self {
        Self {
            name,
            description: String::new(),
            labels,
            task: None,
            scores: None,
            background: None,
            box_order: None,
            method: None,
            layer: None,
            shift: None,
            output: None,
            licence: String::new(),
            sha256: String::new(),
            input,
            feed: BTreeMap::new(),
            known: None,
            accuracy: None,
        }
    }

    /// Reads the manifest next to a model file.
    ///
    /// # Errors
    /// The file is absent or no manifest.
    pub fn read(path: &Path) -> Result<Self> {
        let text = limits::read_text(path).map_err(|e| Error::reading(path, &e))?;
        Self::parse(&text).map_err(|problem| Error::input(path, problem))
    }

    /// How the outputs are read, where the graph does not tell.
    pub fn reading(&self) -> OutputReading {
        let Self { scores, background, box_order, .. } = *self;
        OutputReading { scores, background, box_order }
    }

    /// # Errors
    /// The text is no manifest, or a number in it is out of range.
    pub fn parse(text: &str) -> Result<Self, String> {
        let place = |e: &toml::de::Error| {
            let line = e.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            line.map_or(String::new(), |line| format!(" (line {line})"))
        };
        let manifest: Self =
            toml::from_str(text).map_err(|e| format!("not a manifest: {}{}", e.message(), place(&e)))?;
        manifest.input.check()?;
        let size = [manifest.input.width, manifest.input.height].map(|side| side as f32);
        if manifest.shift.is_some_and(|shift| !(shift[0].abs() < size[0] && shift[1].abs() < size[1])) {
            return Err("shift must be two numbers of pixels, smaller than the input".into());
        }
        match &manifest.task {
            Some(task) if !TASKS.contains(&task.as_str()) => {
                Err(format!("there is no task '{task}'; there are {}", TASKS.join(", ")))
            }
            _ => Ok(manifest),
        }
    }
}
