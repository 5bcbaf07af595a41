//! What flows from a source to a sink.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use image::RgbImage;
use ndarray::ArrayD;

use crate::picture::Picture;
use crate::turn::Turn;

/// A moment as whole ticks of a time base, so that a film keeps its exact times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    pub ticks: i64,
    pub base: TimeBase,
}

/// Seconds a tick, as a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeBase {
    pub numerator: i32,
    pub denominator: i32,
}

impl TimeBase {
    pub const MICROSECONDS: Self = Self { numerator: 1, denominator: 1_000_000 };
    pub const MILLISECONDS: Self = Self { numerator: 1, denominator: 1_000 };
}

impl Time {
    pub const START: Self = Self { ticks: 0, base: TimeBase::MICROSECONDS };

    pub fn as_us(self) -> i64 {
        let ticks = i128::from(self.ticks) * i128::from(self.base.numerator) * 1_000_000;
        let denominator = i128::from(self.base.denominator.max(1));
        i64::try_from((ticks * 2 + denominator).div_euclid(denominator * 2)).unwrap_or(i64::MAX)
    }
}

/// What kind of thing a frame comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MediumKind {
    Still,
    Animation,
    Film {
        frame_rate: (i32, i32),
        /// Of the pictures as they are stored.
        sample_aspect: (i32, i32),
        /// Where the film begins on its own clock; frames' times count from there.
        start: Time,
        /// What was done to the stored pictures so that they stand upright.
        turn: Option<Turn>,
    },
    /// A camera, a stream or the drawn flowers: something without an end.
    Live,
}

/// What frames come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Medium {
    /// What messages and JSON lines call it.
    pub name: String,
    /// Its file, where it has one.
    pub path: Option<PathBuf>,
    pub kind: MediumKind,
    /// Of every picture, in pixels.
    pub width: u32,
    pub height: u32,
    pub time_base: TimeBase,
}

/// One picture of a medium.
#[derive(Clone, Debug)]
pub struct Frame {
    pub medium: Arc<Medium>,
    /// Counted from 0 in its medium.
    pub index: u64,
    pub time: Time,
    pub picture: Picture,
    /// The model's input as it is, where the medium holds that; `picture` only shows it then.
    pub tensor: Option<ArrayD<f32>>,
    /// When it came to be: by a camera's own stamp where it gives one, else when the source gave it.
    pub taken: Instant,
}

impl Frame {
    /// A picture that the source gives now.
    pub fn now(medium: &Arc<Medium>, index: u64, time: Time, picture: impl Into<Picture>) -> Self {
        let picture = picture.into();
        Self { medium: Arc::clone(medium), index, time, picture, tensor: None, taken: Instant::now() }
    }

    /// The only picture of a file.
    pub fn alone(path: &Path, picture: RgbImage, tensor: Option<ArrayD<f32>>) -> Self {
        let medium = Medium {
            name: path.display().to_string(),
            path: Some(path.to_owned()),
            kind: MediumKind::Still,
            width: picture.width(),
            height: picture.height(),
            time_base: TimeBase::MICROSECONDS,
        };
        Self { tensor, ..Self::now(&Arc::new(medium), 0, Time::START, picture) }
    }
}
