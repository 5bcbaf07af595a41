//! A picture file, turned upright by its Exif orientation.

use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageError, ImageReader};

use super::interface::Source;
use crate::error::{Error, Result};
use crate::files::limits::check_picture;
use crate::media::Frame;

/// A picture file.
pub struct StillSource {
    frame: Option<Frame>,
}

impl StillSource {
    /// Reads a picture.
    ///
    /// # Errors
    /// The file is not a picture, or it is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let unreadable =
            |e: ImageError| Error::input(path, format!("not a picture that whycam can read: {e}")).caused_by(e);
        let reader =
            ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(|e| Error::reading(path, &e))?;
        let mut decoder = reader.into_decoder().map_err(unreadable)?;
        let (width, height) = decoder.dimensions();
        check_picture(path, width, height)?;
        let orientation = decoder.orientation().map_err(unreadable)?;
        let mut picture = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
        picture.apply_orientation(orientation);
        Ok(Self { frame: Some(Frame::alone(path, picture.into_rgb8(), None)) })
    }
}

impl Source for StillSource {
    fn next_frame(&mut self) -> Result<Option<Frame>> {
        Ok(self.frame.take())
    }

    fn frame_count(&self) -> Option<u64> {
        Some(1)
    }
}
