//! Frames, which flow from a source to a sink.

use std::ffi::OsString;
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use image::RgbImage;
use ndarray::ArrayD;

use super::display_matrix::DisplayMatrix;
use super::picture::Picture;

/// The name of a file in messages and JSON lines. What is not UTF-8 is escaped as `\\xFF`, so that names stay distinct.
pub fn name_of(path: &Path) -> String {
    let escaped = |byte: &u8| format!("\\x{byte:02X}");
    let chunks = path.as_os_str().as_encoded_bytes().utf8_chunks();
    let parts =
        chunks.flat_map(|chunk| iter::once(chunk.valid().to_owned()).chain(chunk.invalid().iter().map(escaped)));
    parts.collect()
}

/// A text whose addresses have no passwords, queries and stream keys (the last part of a path with several).
pub fn without_secrets(text: &str) -> String {
    let mut parts = text.split("://");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end =
            part.find(|c: char| c.is_whitespace() || matches!(c, ';' | ',' | ')' | '\'' | '"')).unwrap_or(part.len());
        let (address, rest) = part.split_at(end);
        let address = address.split(['?', '#']).next().unwrap_or_default();
        let (host, path) = address.split_once('/').unwrap_or((address, ""));
        clean += "://";
        clean += host.rsplit('@').next().unwrap_or(host);
        let path = path.rsplit_once('/').map_or(path, |(folder, _)| folder);
        if !path.is_empty() {
            clean.extend(["/", path]);
        }
        clean += rest;
    }
    clean
}

/// A point in time in ticks of a time base; films keep their exact timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    pub ticks: i64,
    pub base: TimeBase,
}

/// Seconds per tick, as a fraction.
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

    /// In microseconds, rounded to the nearest.
    pub fn as_us(self) -> i64 {
        let ticks = i128::from(self.ticks) * i128::from(self.base.numerator) * 1_000_000;
        let denominator = i128::from(self.base.denominator.max(1));
        i64::try_from((ticks * 2 + denominator).div_euclid(denominator * 2)).unwrap_or(i64::MAX)
    }
}

/// The kind of a medium.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MediumKind {
    Still,
    Animation {
        /// How often it is played again after the first time; `None` is for ever.
        repeats: Option<u16>,
    },
    Film {
        /// Frames per second, as a fraction.
        frame_rate: (i32, i32),
        /// Of a pixel as stored, width to height.
        sample_aspect: (i32, i32),
        /// The film's first timestamp; the times of frames count from it.
        start: Time,
        /// The rotation that was applied to the stored pictures.
        display_matrix: Option<DisplayMatrix>,
    },
    /// A camera, a stream or the generated flowers: frames without an end.
    Live,
}

/// The medium that frames belong to.
#[derive(Clone, Debug, PartialEq)]
pub struct Medium {
    /// Its name in messages and JSON lines.
    pub name: String,
    /// Its file, if it has one that results may lie beside.
    pub path: Option<PathBuf>,
    /// What FFmpeg opens to read its sound.
    pub address: Option<OsString>,
    pub kind: MediumKind,
    /// The width of every picture, in pixels.
    pub width: u32,
    /// The height of every picture, in pixels.
    pub height: u32,
    pub time_base: TimeBase,
}

impl Medium {
    /// Its name for an audience: that of the file without its folders, and an address without a password.
    pub fn short_name(&self) -> String {
        if self.name.contains("://") {
            return without_secrets(&self.name);
        }
        let name = self.name.rsplit(['/', '\\']).find(|part| !part.is_empty());
        name.unwrap_or(&self.name).to_owned()
    }

    /// How wide a pixel of its upright pictures is shown, to its height.
    pub fn pixel_aspect(&self) -> f64 {
        let MediumKind::Film { sample_aspect: (n, d), display_matrix, .. } = self.kind else { return 1.0 };
        if n <= 0 || d <= 0 {
            return 1.0;
        }
        let stored = f64::from(n) / f64::from(d);
        if display_matrix.is_some_and(|matrix| matrix.swaps()) { 1.0 / stored } else { stored }
    }
}

/// One picture of a medium.
#[derive(Clone, Debug)]
pub struct Frame {
    pub medium: Arc<Medium>,
    /// Which of several sources it comes from, from 0.
    pub lane: usize,
    /// The position in its medium, from 0.
    pub index: u64,
    pub time: Time,
    /// How long it is shown, in ticks of its medium's time base, if that is known.
    pub duration: Option<i64>,
    pub picture: Picture,
    /// The model's input, if the medium holds a tensor; `picture` then only visualises it.
    pub tensor: Option<ArrayD<f32>>,
    /// The time of capture: a camera's timestamp if it has one, else the time at which the source returned the frame.
    pub taken: Instant,
}

impl Frame {
    /// A frame captured now.
    pub fn now(medium: &Arc<Medium>, index: u64, time: Time, picture: impl Into<Picture>) -> Self {
        let picture = picture.into();
        let (medium, taken) = (Arc::clone(medium), Instant::now());
        Self { medium, lane: 0, index, time, duration: None, picture, tensor: None, taken }
    }

    /// The same frame with another picture of what it shows.
    #[must_use]
    pub fn with_picture(&self, picture: Picture) -> Self {
        let Self { lane, index, time, duration, taken, .. } = *self;
        Self { medium: Arc::clone(&self.medium), lane, index, time, duration, picture, tensor: None, taken }
    }

    /// The only frame of a file.
    pub fn alone(path: &Path, picture: RgbImage, tensor: Option<ArrayD<f32>>) -> Self {
        let medium = Medium {
            name: name_of(path),
            path: Some(path.to_owned()),
            address: None,
            kind: MediumKind::Still,
            width: picture.width(),
            height: picture.height(),
            time_base: TimeBase::MICROSECONDS,
        };
        Self { tensor, ..Self::now(&Arc::new(medium), 0, Time::START, picture) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audience_sees_neither_folders_nor_passwords() {
        let frame = Frame::alone(Path::new("/home/me/films/flower.mp4"), RgbImage::new(1, 1), None);
        let named = |name: &str| Medium { name: name.into(), ..(*frame.medium).clone() }.short_name();
        assert_eq!(frame.medium.short_name(), "flower.mp4");
        assert_eq!(named("rtsp://me:secret@10.0.0.1:554/main?key=secret"), "rtsp://10.0.0.1:554/main");
        let text = "sending to rtmp://live.example/app/key-1; http://a/?token=b (srt://c:1): gone";
        assert_eq!(without_secrets(text), "sending to rtmp://live.example/app; http://a (srt://c:1): gone");
        assert_eq!(named("Logitech C920"), "Logitech C920");
    }
}
