//! A picture that FFmpeg reads and the picture library does not.

use std::path::Path;

use image::RgbImage;

use super::film_source::FilmSource;
use crate::error::Result;
use crate::media::Report;
use crate::source::inputs::Input;
use crate::source::interface::Source;

/// The first picture of a file.
///
/// # Errors
/// FFmpeg cannot read it.
pub fn read_picture(path: &Path) -> Result<RgbImage> {
    let mut source = FilmSource::open(&Input::file(path), 1, &Report::silent())?;
    let picture = source.next_frame()?.map(|frame| frame.picture.into_image());
    Ok(picture.unwrap_or_default())
}
