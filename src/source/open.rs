//! Opening an input by its content.

use super::animation::AnimationSource;
#[cfg(feature = "video")]
use super::film::FilmSource;
use super::inputs::Input;
use super::interface::Source;
use super::kind::{Kind, kind_of};
use super::piped::{PipedSource, is_pipe};
use super::still::StillSource;
use super::tensor::TensorSource;
use crate::error::{Error, Result};
use crate::media::Report;

/// Opens a picture, an animation, a film, a tensor or a stream address by its content. Films are decoded on `threads`
/// threads (0: the decoder's choice). What it leaves out goes to the report.
///
/// # Errors
/// The input is absent, or whycam cannot read it.
pub fn open(input: &Input, threads: usize, report: &Report) -> Result<Box<dyn Source>> {
    let Some(path) = &input.path else { return open_film(input, threads, report) };
    path.metadata().map_err(|e| Error::reading(path, &e))?;
    if is_pipe(path) {
        return Ok(Box::new(PipedSource::open(input, threads, report)?));
    }
    match kind_of(path)? {
        Kind::Tensor => Ok(Box::new(TensorSource::open(path)?)),
        Kind::Animation(format) => Ok(Box::new(AnimationSource::open(path, format)?)),
        Kind::Picture(_) | Kind::Heif => Ok(Box::new(StillSource::open(path, report)?)),
        Kind::MotionJpeg | Kind::Other => open_film(input, threads, report),
    }
}

/// Decodes up to `limit` frames of a film, to measure the time of decoding. Returns their number.
///
/// # Errors
/// The input is not a film that FFmpeg can read.
#[cfg(feature = "video")]
pub fn decode_only(input: &str, limit: u64) -> Result<u64> {
    FilmSource::open(&input.into(), 1, &Report::silent())?.decode_only(limit)
}

/// Fails: this build reads no films.
///
/// # Errors
/// Always.
#[cfg(not(feature = "video"))]
pub fn decode_only(input: &str, _: u64) -> Result<u64> {
    open_film(&input.into(), 1, &Report::silent()).map(|_| 0)
}

/// Whether the input is a single picture.
pub fn is_still(input: &Input) -> bool {
    let Some(path) = input.path.as_deref().filter(|path| !is_pipe(path)) else { return false };
    matches!(kind_of(path), Ok(Kind::Picture(_) | Kind::Heif))
}

/// Whether the input holds a model's input tensor, by its name.
pub fn is_tensor(input: &Input) -> bool {
    input.path.as_deref().is_some_and(super::kind::is_tensor)
}

#[cfg(feature = "video")]
fn open_film(input: &Input, threads: usize, report: &Report) -> Result<Box<dyn Source>> {
    let mut film = FilmSource::open(input, threads, report)?;
    match &input.path {
        Some(path) if film.is_picture() => {
            let picture = film.next_frame()?.map(|frame| frame.picture.into_image()).unwrap_or_default();
            Ok(Box::new(StillSource::of(path, picture)))
        }
        _ => Ok(Box::new(film)),
    }
}

#[cfg(not(feature = "video"))]
fn open_film(input: &Input, _: usize, _: &Report) -> Result<Box<dyn Source>> {
    let problem = "not a picture, and this build of whycam reads no films (feature `video`)";
    Err(Error::input(&input.name, problem))
}
