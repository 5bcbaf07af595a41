//! Named preprocessing for an ONNX file without a manifest.

use std::fmt;
use std::str::FromStr;

use super::manifest::{Colour, Fit, InputSpec, Layout};
use crate::error::Error;

/// A kind of preprocessing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preset {
    /// torchvision and timm: RGB, ImageNet's mean and deviation, the central 0.875.
    ImageNet,
    /// Pixels / 255, stretched.
    Unit,
    /// Pixels / 127.5 - 1, stretched (Keras' "tf" mode).
    Symmetric,
    /// Pixels 0 to 255, stretched.
    Raw,
    /// BGR, pixels 0 to 255 less ImageNet's mean, stretched (Caffe; Keras' "caffe" mode).
    Caffe,
}

impl Preset {
    const ALL: &[Self] = &[Self::ImageNet, Self::Unit, Self::Symmetric, Self::Raw, Self::Caffe];

    pub fn name(self) -> &'static str {
        match self {
            Self::ImageNet => "imagenet",
            Self::Unit => "unit",
            Self::Symmetric => "symmetric",
            Self::Raw => "raw",
            Self::Caffe => "caffe",
        }
    }

    /// The preprocessing for an input of three channels; `width` and `height` are in pixels.
    pub fn input(self, width: usize, height: usize, layout: Layout) -> InputSpec {
        let stretched = |scale: f32, mean: f32| InputSpec {
            width,
            height,
            channels: 3,
            layout,
            colour: Colour::Rgb,
            fit: Fit::Stretch,
            scale,
            mean: [mean; 3],
            std: [1.0; 3],
            crop: 1.0,
        };
        match self {
            Self::ImageNet => InputSpec {
                fit: Fit::Crop,
                mean: [0.485, 0.456, 0.406],
                std: [0.229, 0.224, 0.225],
                crop: 0.875,
                ..stretched(1.0 / 255.0, 0.0)
            },
            Self::Unit => stretched(1.0 / 255.0, 0.0),
            Self::Symmetric => stretched(1.0 / 127.5, 1.0),
            Self::Raw => stretched(1.0, 0.0),
            Self::Caffe => InputSpec { colour: Colour::Bgr, mean: [103.939, 116.779, 123.68], ..stretched(1.0, 0.0) },
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Preset {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.iter().copied().find(|preset| preset.name() == name).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|preset| preset.name()).collect();
            let known = format!("there are {}", known.join(", "));
            Error::Unknown { what: "preset", name: name.to_owned(), known }
        })
    }
}
