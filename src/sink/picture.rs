//! One picture to an image file, in the format that its name says.

use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, RgbImage};

use crate::error::{Error, Result};
use crate::output::{check_free, write_whole};

/// # Errors
/// The name says no format that can be written, or the file cannot be.
pub fn write_picture(path: &Path, picture: &RgbImage, overwrite: bool) -> Result<()> {
    let format = ImageFormat::from_path(path)
        .map_err(|_| Error::output(path, "its name ends in no picture format; try .png or .jpg"))?;
    check_free(path, overwrite)?;
    // In memory first: encoders hide what the disk says.
    let mut encoded = Cursor::new(Vec::new());
    picture.write_to(&mut encoded, format).map_err(|e| Error::output(path, e))?;
    write_whole(path, encoded.into_inner(), overwrite)
}
