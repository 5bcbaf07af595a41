//! Frames to an animated GIF.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use image::buffer::ConvertBuffer;
use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, ImageError, RgbImage};

use super::Ending;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::output::PartFile;
use crate::picture::Picture;

/// Writes each picture when the next one tells how long it stayed.
pub struct Animation {
    file: PartFile,
    encoder: GifEncoder<BufWriter<File>>,
    waiting: Option<(Picture, i64)>,
    last_delay_us: i64,
}

impl Animation {
    /// Speed of the palette's search, 1 (best) to 30.
    const SPEED: i32 = 10;
    const USUAL_DELAY_US: i64 = 100_000;

    /// # Errors
    /// The file cannot be made.
    pub fn create(path: &Path, overwrite: bool) -> Result<Self> {
        let file = PartFile::new(path, overwrite)?;
        let writer = File::create(&file.part).map_err(|e| Error::writing(path, &e))?;
        let mut encoder = GifEncoder::new_with_speed(BufWriter::new(writer), Self::SPEED);
        encoder.set_repeat(Repeat::Infinite).map_err(|e| failed(path, e))?;
        Ok(Self { file, encoder, waiting: None, last_delay_us: Self::USUAL_DELAY_US })
    }

    /// # Errors
    /// The file cannot be written.
    pub fn write(&mut self, frame: &Frame) -> Result<()> {
        let now = frame.time.as_us();
        if let Some((picture, then)) = self.waiting.replace((frame.picture.clone(), now)) {
            self.last_delay_us = (now - then).max(0);
            self.encode(&picture)?;
        }
        Ok(())
    }

    /// Completes the file, which plays also when it was cut.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(mut self, _: Ending) -> Result<()> {
        if let Some((picture, _)) = self.waiting.take() {
            self.encode(&picture)?;
        }
        let Self { mut file, encoder, .. } = self;
        drop(encoder);
        file.complete()
    }

    fn encode(&mut self, picture: &RgbImage) -> Result<()> {
        let delay = Delay::from_numer_denom_ms(u32::try_from(self.last_delay_us).unwrap_or(u32::MAX), 1_000);
        let picture = picture.convert();
        let frame = image::Frame::from_parts(picture, 0, 0, delay);
        self.encoder.encode_frame(frame).map_err(|e| failed(&self.file.path, e))
    }
}

fn failed(path: &Path, error: ImageError) -> Error {
    match error {
        ImageError::IoError(e) => Error::writing(path, &e),
        other => Error::output(path, other),
    }
}
