//! The results of an evaluation.

use std::path::PathBuf;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::calibration::Bin;
use super::confusion::Confusion;
use super::displacement::Displacement;
use super::flicker::Motion;
use super::insertion_deletion::Curves;
use super::photos::{Photo, as_name};
use super::randomisation::Sanity;
use crate::cam;
use crate::error::Error;

/// The results of an evaluation.
pub struct Evaluation {
    pub model: String,
    pub labels: Vec<String>,
    /// The number of photos.
    pub photos: usize,
    pub confusion: Confusion,
    pub reliability: Vec<Bin>,
    pub calibration_error: f32,
    pub methods: Vec<Measured>,
    /// Photos that could not be read and were left out, and films of which a part could not be read.
    pub unread: Vec<Error>,
}

/// The name of a known method. `serde` would borrow a plain reference.
pub type MethodName = &'static str;

/// The measures of one method.
#[derive(Serialize, Deserialize)]
pub struct Measured {
    #[serde(deserialize_with = "method_name")]
    pub method: MethodName,
    pub layer: String,
    /// The number of photos on which maps were measured.
    pub photos: usize,
    pub faithfulness: Faithfulness,
    /// How far the cells of the layer were moved before that, `[x, y]` in pixels of the input, as the manifest says.
    #[serde(default)]
    pub shift: Option<[f32; 2]>,
    /// `None` if too few photos have a map.
    pub displacement: Option<Displacement>,
    /// Means over the photos.
    pub curves: Curves,
    /// Each photo, in descending order of insertion minus deletion.
    pub cases: Vec<Case>,
    /// `None` for a method that would take minutes, or if no photos were sampled.
    pub sanity: Option<Sanity>,
    pub films: Vec<FilmMotion>,
}

/// Means over the photos.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Faithfulness {
    pub insertion: f32,
    pub deletion: f32,
    pub average_drop: f32,
    /// The share of photos, 0..=1.
    pub increase: f32,
    pub adcc: f32,
    pub arcc: f32,
    pub road: f32,
    pub stability: f32,
    /// The energy in the right tile, 0..=1; `None` if the photos are of fewer than four classes.
    pub grid_pointing: Option<f32>,
}

/// One photo.
#[derive(Clone, Serialize, Deserialize)]
pub struct Case {
    pub photo: Photo,
    pub predicted: usize,
    /// 0..=1.
    pub probability: f32,
    pub insertion: f32,
    pub deletion: f32,
}

/// The motion of the maps along a film: those of single frames, and those smoothed over time.
#[derive(Serialize, Deserialize)]
pub struct FilmMotion {
    #[serde(serialize_with = "as_name")]
    pub film: PathBuf,
    pub frames: usize,
    /// Whether parts of it could not be read.
    pub damaged: bool,
    pub single: Motion,
    pub smoothed: Motion,
}

/// The name of a known method.
pub fn method_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static str, D::Error> {
    let name = String::deserialize(deserializer)?;
    cam::find(&name).map(|method| method.name).map_err(D::Error::custom)
}
