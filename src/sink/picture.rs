//! A picture as an image file.

use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, RgbImage};

use crate::error::{Error, Result};
use crate::files::{check_free, write_whole};

/// Writes a picture in the format of the file name's extension.
///
/// # Errors
/// The extension is no picture format that can be written, or the file cannot be written.
pub fn write_picture(path: &Path, picture: &RgbImage, overwrite: bool) -> Result<()> {
    let format = ImageFormat::from_path(path)
        .map_err(|_| Error::output(path, "its name ends in no picture format; try .png or .jpg"))?;
    check_free(path, overwrite)?;
    // Encoded in memory first, as encoders hide the errors of the disk.
    let mut encoded = Cursor::new(Vec::new());
    picture.write_to(&mut encoded, format).map_err(|e| Error::output(path, e))?;
    write_whole(path, encoded.into_inner(), overwrite)
}
