//! The results of an evaluation.

use std::path::PathBuf;

use super::calibration::Bin;
use super::confusion::Confusion;
use super::flicker::Motion;
use super::insertion_deletion::Curves;
use super::photos::Photo;
use super::randomisation::Sanity;
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
    /// Photos that could not be read and were left out.
    pub unread: Vec<Error>,
}

/// The measures of one method.
pub struct Measured {
    pub method: &'static str,
    pub layer: String,
    /// The number of photos on which maps were measured.
    pub photos: usize,
    pub faithfulness: Faithfulness,
    /// Means over the photos.
    pub curves: Curves,
    /// Each photo, in descending order of insertion minus deletion.
    pub cases: Vec<Case>,
    /// `None` for a method that would take minutes, or if no photos were sampled.
    pub sanity: Option<Sanity>,
    pub films: Vec<FilmMotion>,
}

/// Means over the photos.
#[derive(Clone, Copy, Debug, Default)]
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
pub struct Case {
    pub photo: Photo,
    pub predicted: usize,
    /// 0..=1.
    pub probability: f32,
    pub insertion: f32,
    pub deletion: f32,
}

/// The motion of the maps along a film: those of single frames, and those smoothed over time.
pub struct FilmMotion {
    pub film: PathBuf,
    pub frames: usize,
    pub single: Motion,
    pub smoothed: Motion,
}
