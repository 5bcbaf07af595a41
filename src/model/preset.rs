//! Named preprocessing for an ONNX file without a manifest.

use std::fmt;
use std::str::FromStr;

use super::manifest::{Colour, Fit, InputSpec, Layout, Resample};
use crate::error::Error;
use crate::grad::Family;

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
    /// YOLO nets: pixels / 255, letterboxed with grey bars.
    Yolo,
    /// YOLOX: BGR, pixels 0 to 255, in the upper left corner of grey bars.
    Yolox,
    /// DETR and its kin: ImageNet's mean and deviation, stretched.
    Detr,
    /// `NanoDet`: BGR, ImageNet's mean and deviation in pixels, stretched.
    NanoDet,
    /// `FastestDet`: BGR, pixels / 255, stretched.
    FastestDet,
    /// `UltraFace`: (pixels - 127) / 128, stretched.
    UltraFace,
}

const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const IMAGENET_DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];
/// The level of the bars that YOLO nets are trained with.
const GREY: u8 = 114;

impl Preset {
    const ALL: &[Self] = &[
        Self::ImageNet,
        Self::Unit,
        Self::Symmetric,
        Self::Raw,
        Self::Caffe,
        Self::Yolo,
        Self::Yolox,
        Self::Detr,
        Self::NanoDet,
        Self::FastestDet,
        Self::UltraFace,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::ImageNet => "imagenet",
            Self::Unit => "unit",
            Self::Symmetric => "symmetric",
            Self::Raw => "raw",
            Self::Caffe => "caffe",
            Self::Yolo => "yolo",
            Self::Yolox => "yolox",
            Self::Detr => "detr",
            Self::NanoDet => "nanodet",
            Self::FastestDet => "fastestdet",
            Self::UltraFace => "ultraface",
        }
    }

    /// The preprocessing that most detectors of a family take, and why.
    pub fn of_family(family: Family) -> (Self, &'static str) {
        match family {
            Family::Yolo => (Self::Yolo, "its outputs are those of YOLO nets"),
            Family::Yolox => (Self::Yolox, "its outputs are those of YOLOX"),
            Family::FastestDet => (Self::FastestDet, "its outputs are those of FastestDet"),
            Family::NanoDet => (Self::NanoDet, "its outputs are those of NanoDet"),
            Family::UltraFace => (Self::UltraFace, "its outputs are those of UltraFace"),
            Family::BlazeFace => (Self::Symmetric, "its outputs are those of BlazeFace"),
            Family::Detr => (Self::Detr, "its outputs are those of DETR"),
            Family::RetinaNet => (Self::Detr, "its outputs are those of RetinaNet"),
            Family::RtDetr => (Self::Unit, "its outputs are those of RT-DETR"),
            Family::Ssd => (Self::Detr, "its outputs are those of SSD"),
            Family::PpYoloe => (Self::Detr, "its outputs are those of PP-YOLOE"),
            Family::YoloV4 => (Self::Unit, "its outputs are those of YOLOv4 and YOLO-NAS"),
            Family::Torchvision => (Self::Unit, "it chooses its boxes itself, as torchvision's detectors do"),
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
            bars: 0,
            resample: Resample::Bilinear,
        };
        match self {
            Self::ImageNet => InputSpec {
                fit: Fit::Crop,
                mean: IMAGENET_MEAN,
                std: IMAGENET_DEVIATION,
                crop: 0.875,
                ..stretched(1.0 / 255.0, 0.0)
            },
            Self::Unit => stretched(1.0 / 255.0, 0.0),
            Self::Symmetric => stretched(1.0 / 127.5, 1.0),
            Self::Raw => stretched(1.0, 0.0),
            Self::Caffe => InputSpec { colour: Colour::Bgr, mean: [103.939, 116.779, 123.68], ..stretched(1.0, 0.0) },
            Self::Yolo => InputSpec { fit: Fit::Letterbox, bars: GREY, ..stretched(1.0 / 255.0, 0.0) },
            Self::Yolox => InputSpec { fit: Fit::Corner, bars: GREY, colour: Colour::Bgr, ..stretched(1.0, 0.0) },
            Self::Detr => InputSpec { mean: IMAGENET_MEAN, std: IMAGENET_DEVIATION, ..stretched(1.0 / 255.0, 0.0) },
            Self::NanoDet => InputSpec {
                colour: Colour::Bgr,
                mean: [103.53, 116.28, 123.675],
                std: [57.375, 57.12, 58.395],
                ..stretched(1.0, 0.0)
            },
            Self::FastestDet => InputSpec { colour: Colour::Bgr, ..stretched(1.0 / 255.0, 0.0) },
            Self::UltraFace => InputSpec { mean: [127.0; 3], std: [128.0; 3], ..stretched(1.0, 0.0) },
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
