//! One picture to an image file, in the format that its name says.

use std::error::Error as _;
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
    picture.save_with_format(&part.part, format).map_err(|e| failed(path, &e))?;
    part.complete()
}

/// An encoder's error; that of the disk, where it lies behind it.
pub fn failed(path: &Path, error: &ImageError) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = match error {
        ImageError::IoError(io) => Some(io),
        other => other.source(),
    };
    while let Some(error) = cause {
        match error.downcast_ref::<std::io::Error>() {
            // One that was made by the encoder may hold the disk's own.
            Some(io) if io.raw_os_error().is_some() => return Error::writing(path, io),
            Some(io) => cause = io.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static)),
            None => cause = error.source(),
        }
    }
    Error::output(path, error)
}
