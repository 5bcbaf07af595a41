//! Opening an input by its content.

use std::path::Path;

use image::{ImageFormat, ImageReader};

#[cfg(feature = "video")]
use super::film::FilmSource;
use super::gif::GifSource;
use super::interface::Source;
use super::still::StillSource;
use super::tensor::TensorSource;
use crate::error::{Error, Result};

/// Opens a picture, an animation, a film, a tensor or a stream address by its content. Films are decoded on `threads`
/// threads (0: the decoder's choice).
///
/// # Errors
/// The input is absent, or whycam cannot read it.
pub fn open(input: &str, threads: usize) -> Result<Box<dyn Source>> {
    let path = Path::new(input);
    if is_address(input) {
        return open_film(input, threads);
    }
    if !path.exists() {
        return Err(Error::input(path, "no such file or folder"));
    }
    if is_tensor(input) {
        return Ok(Box::new(TensorSource::open(path)?));
    }
    match picture_format(path)? {
        Some(ImageFormat::Gif) => Ok(Box::new(GifSource::open(path)?)),
        Some(_) => Ok(Box::new(StillSource::open(path)?)),
        None => open_film(input, threads),
    }
}

/// The picture format by the file's content, or by its name if the content does not tell.
fn picture_format(path: &Path) -> Result<Option<ImageFormat>> {
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    reader.map(|reader| reader.format()).map_err(|e| Error::reading(path, &e))
}

/// Decodes up to `limit` frames of a film, to measure the time of decoding. Returns their number.
///
/// # Errors
/// The input is not a film that FFmpeg can read.
#[cfg(feature = "video")]
pub fn decode_only(input: &str, limit: u64) -> Result<u64> {
    FilmSource::open(input, 1)?.decode_only(limit)
}

/// Fails: this build reads no films.
///
/// # Errors
/// Always.
#[cfg(not(feature = "video"))]
pub fn decode_only(input: &str, _: u64) -> Result<u64> {
    open_film(input, 1).map(|_| 0)
}

/// Whether the input is a single picture.
pub fn is_still(input: &str) -> bool {
    let path = Path::new(input);
    let format = if is_address(input) || is_tensor(input) { None } else { picture_format(path).ok().flatten() };
    format.is_some_and(|format| format != ImageFormat::Gif)
}

/// Whether the input holds a model's input tensor, by its name.
pub fn is_tensor(input: &str) -> bool {
    Path::new(input).extension().is_some_and(|e| e.eq_ignore_ascii_case("npy"))
}

/// Whether the input is a network address rather than a file.
pub fn is_address(input: &str) -> bool {
    input.contains("://")
}

#[cfg(feature = "video")]
fn open_film(input: &str, threads: usize) -> Result<Box<dyn Source>> {
    Ok(Box::new(FilmSource::open(input, threads)?))
}

#[cfg(not(feature = "video"))]
fn open_film(input: &str, _: usize) -> Result<Box<dyn Source>> {
    Err(Error::input(input, "not a picture, and this build of whycam reads no films (feature `video`)"))
}
