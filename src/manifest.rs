//! What a model file does not say: labels, and how pictures are made into its input.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::bounds;
use crate::error::{Error, Result};

/// A model's `NAME.toml`.
#[derive(Clone, Debug, Deserialize)]
pub struct Manifest {
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// One a class, in the order of the logits.
    #[serde(default)]
    pub labels: Vec<String>,
    /// The target layer, where the default is not the one wanted.
    #[serde(default)]
    pub layer: Option<String>,
    /// The output with the class scores, where it is not the first of that form.
    #[serde(default)]
    pub output: Option<String>,
    #[serde(default)]
    pub licence: String,
    #[serde(default)]
    pub sha256: String,
    pub input: InputSpec,
    #[serde(default)]
    pub known: Option<Known>,
    #[serde(default)]
    pub accuracy: Option<Accuracy>,
}

/// How the model itself says whether a picture shows any of its classes.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Known {
    /// A float32 output `[N]`: how familiar the picture is, more for more.
    pub output: String,
    /// Below this it shows none of the classes.
    pub least: f32,
}

/// How a picture becomes the model's input: `(pixel * scale - mean) / std`, pixels in 0..=255.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct InputSpec {
    pub width: usize,
    pub height: usize,
    /// 3, or 1 for a model of grey pictures.
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
}

/// Shares of photos classified rightly, 0..=1.
#[derive(Clone, Debug, Deserialize)]
pub struct Accuracy {
    pub val: f32,
    pub test: f32,
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

/// How a frame of another aspect ratio meets the model's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// The whole frame, its aspect ratio given up.
    Stretch,
    /// The largest part from the middle.
    #[default]
    Crop,
    /// The whole frame, with bars.
    Letterbox,
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

/// Ways of preprocessing for a bare ONNX file: name, what trains with it.
pub const PRESETS: &[(&str, &str)] = &[
    ("imagenet", "torchvision and timm: RGB, ImageNet mean and deviation, 0.875 of the middle"),
    ("unit", "pixels / 255, stretched"),
    ("symmetric", "pixels / 127.5 - 1, stretched (Keras' \"tf\" mode)"),
    ("raw", "pixels 0 to 255, stretched"),
];

impl InputSpec {
    /// Of one picture: `[1,C,h,w]` or `[1,h,w,C]`.
    pub fn shape(&self) -> Vec<usize> {
        match self.layout {
            Layout::ChannelsFirst => vec![1, self.channels, self.height, self.width],
            Layout::ChannelsLast => vec![1, self.height, self.width, self.channels],
        }
    }

    /// Reads what `whycam prepare` writes into a model.
    ///
    /// # Errors
    /// The text says something else, or a number in it is out of range.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let spec: Self = serde_json::from_str(text).map_err(|e| format!("its preprocessing is unreadable: {e}"))?;
        spec.check()?;
        Ok(spec)
    }

    fn check(&self) -> Result<(), String> {
        if !(1..=4096).contains(&self.width) || !(1..=4096).contains(&self.height) {
            return Err(format!("input size {}x{} is not within 1 to 4096", self.width, self.height));
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

    /// A named way of preprocessing.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn preset(name: &str, width: usize, height: usize, layout: Layout) -> Result<Self> {
        let stretched = |scale: f32, mean: f32| Self {
            width,
            height,
            channels: 3,
            layout,
            colour: Colour::Rgb,
            fit: Fit::Stretch,
            scale,
            mean: [mean; 3],
            std: ones(),
            crop: 1.0,
        };
        match name {
            "imagenet" => Ok(Self {
                fit: Fit::Crop,
                mean: [0.485, 0.456, 0.406],
                std: [0.229, 0.224, 0.225],
                crop: 0.875,
                ..stretched(1.0 / 255.0, 0.0)
            }),
            "unit" => Ok(stretched(1.0 / 255.0, 0.0)),
            "symmetric" => Ok(stretched(1.0 / 127.5, 1.0)),
            "raw" => Ok(stretched(1.0, 0.0)),
            _ => {
                let known: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
                let known = format!("there are {}", known.join(", "));
                Err(Error::Unknown { what: "preset", name: name.to_owned(), known })
            }
        }
    }
}

impl Manifest {
    /// Reads the manifest beside a model file.
    ///
    /// # Errors
    /// The file is absent or says something else than a manifest does.
    pub fn read(path: &Path) -> Result<Self> {
        let text = bounds::read_text(path).map_err(|e| Error::reading(path, &e))?;
        Self::parse(&text).map_err(|problem| Error::input(path, problem))
    }

    /// # Errors
    /// The text is no manifest, or a number in it is out of range.
    pub fn parse(text: &str) -> Result<Self, String> {
        let manifest: Self = toml::from_str(text).map_err(|e| format!("not a manifest: {}", e.message()))?;
        manifest.input.check()?;
        Ok(manifest)
    }
}
