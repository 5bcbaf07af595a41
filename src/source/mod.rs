//! Where frames come from. A source knows neither sinks nor models.

#[cfg(feature = "camera")]
pub mod camera;
#[cfg(feature = "video")]
mod film;
mod gif;
mod live;
mod pattern;
mod sequence;
mod still;
mod tensor;

use std::path::Path;

pub use live::{End, LiveSource, Open, Tell};
pub use pattern::PatternSource;
pub use sequence::{Failures, SequenceSource, list_inputs};

use crate::error::{Error, Result};
use crate::frame::Frame;

/// A supply of frames, one after the other, on the thread that asks.
pub trait Source {
    /// The next frame, or `None` at the end.
    ///
    /// # Errors
    /// The source broke; it gives no more frames.
    fn next_frame(&mut self) -> Result<Option<Frame>>;

    /// How many frames there are, as far as that is known.
    fn frame_count(&self) -> Option<u64>;

    /// How many frames the source left out since it was last asked, since newer ones were there.
    fn passed_over(&mut self) -> u64 {
        0
    }
}

/// Opens a picture, an animation, a film, a tensor or a stream address by what it holds, to decode it on so many
/// threads (0: the decoder's own choice).
///
/// # Errors
/// It is absent, or nothing that whycam can read.
pub fn open(input: &str, threads: usize) -> Result<Box<dyn Source>> {
    let path = Path::new(input);
    if is_address(input) {
        return open_film(input, threads);
    }
    if !path.exists() {
        return Err(Error::input(path, "no such file or folder"));
    }
    if is_tensor(input) {
        return Ok(Box::new(tensor::TensorSource::open(path)?));
    }
    match picture_format(path)? {
        Some(image::ImageFormat::Gif) => Ok(Box::new(gif::GifSource::open(path)?)),
        Some(_) => Ok(Box::new(still::StillSource::open(path)?)),
        None => open_film(input, threads),
    }
}

/// By the content where that is telling, else by the name.
fn picture_format(path: &Path) -> Result<Option<image::ImageFormat>> {
    let reader = image::ImageReader::open(path).and_then(image::ImageReader::with_guessed_format);
    reader.map(|reader| reader.format()).map_err(|e| Error::reading(path, &e))
}

/// Decodes up to so many frames of a film and does nothing with them: what reading it costs at the least. Returns how
/// many there were.
///
/// # Errors
/// It is no film.
#[cfg(feature = "video")]
pub fn decode_alone(input: &str, most: u64) -> Result<u64> {
    film::FilmSource::open(input, 1)?.decode_alone(most)
}

#[cfg(not(feature = "video"))]
pub fn decode_alone(input: &str, _: u64) -> Result<u64> {
    open_film(input, 1).map(|_| 0)
}

/// Whether the input is one picture.
pub fn is_still(input: &str) -> bool {
    let path = Path::new(input);
    let format = if is_address(input) || is_tensor(input) { None } else { picture_format(path).ok().flatten() };
    format.is_some_and(|format| format != image::ImageFormat::Gif)
}

/// Whether the input is a model's input as it is, by its name.
pub fn is_tensor(input: &str) -> bool {
    Path::new(input).extension().is_some_and(|e| e.eq_ignore_ascii_case("npy"))
}

/// Whether the input is a network address rather than a file.
pub fn is_address(input: &str) -> bool {
    input.contains("://")
}

#[cfg(feature = "video")]
fn open_film(input: &str, threads: usize) -> Result<Box<dyn Source>> {
    Ok(Box::new(film::FilmSource::open(input, threads)?))
}

#[cfg(not(feature = "video"))]
fn open_film(input: &str, _: usize) -> Result<Box<dyn Source>> {
    Err(Error::input(input, "not a picture, and this build of whycam reads no films (feature `video`)"))
}
