//! One picture to an image file, in the format that its name says.

use std::path::Path;

use image::{ImageError, ImageFormat, RgbImage};

use super::PartFile;
use crate::error::{Error, Result};

/// # Errors
/// The name says no format that can be written, or the file cannot be.
pub fn write_picture(path: &Path, picture: &RgbImage, overwrite: bool) -> Result<()> {
    let format = ImageFormat::from_path(path)
        .map_err(|_| Error::output(path, "its name ends in no picture format; try .png or .jpg"))?;
    let mut part = PartFile::new(path, overwrite)?;
    picture.save_with_format(&part.part, format).map_err(|e| match e {
        ImageError::IoError(e) => Error::writing(path, &e),
        other => Error::output(path, other),
    })?;
    part.complete()
}
