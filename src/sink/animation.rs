//! Frames as an animated GIF.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use image::buffer::ConvertBuffer;
use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, ImageError, RgbImage};

use super::interface::Ending;
use crate::error::{Error, Result};
use crate::files::PartFile;
use crate::media::{Frame, Picture, Time};

/// An animation that is being written. Each picture is encoded when the next one gives its duration.
pub struct Animation {
    file: PartFile,
    encoder: GifEncoder<BufWriter<File>>,
    pending: Option<Pending>,
    last_delay_us: i64,
}

/// The last picture, which waits for its duration.
struct Pending {
    picture: Picture,
    /// When it is shown, in microseconds.
    start_us: i64,
    /// How long, in microseconds, if its source says it.
    duration_us: Option<i64>,
}

impl Animation {
    /// The speed of the palette search, from 1 (best quality) to 30.
    const SPEED: i32 = 10;
    /// The duration of a single picture.
    const DEFAULT_DELAY_US: i64 = 100_000;

    /// Starts an animation that is played again `repeats` times, or for ever.
    ///
    /// # Errors
    /// The file cannot be created, or exists and `overwrite` is false.
    pub fn create(path: &Path, repeats: Option<u16>, overwrite: bool) -> Result<Self> {
        let file = PartFile::new(path, overwrite)?;
        let writer = File::create(&file.part).map_err(|e| Error::writing(path, &e))?;
        let mut encoder = GifEncoder::new_with_speed(BufWriter::new(writer), Self::SPEED);
        match repeats {
            // Without a word, it is played once.
            Some(0) => Ok(()),
            Some(times) => encoder.set_repeat(Repeat::Finite(times)),
            None => encoder.set_repeat(Repeat::Infinite),
        }
        .map_err(|e| failed(path, e))?;
        Ok(Self { file, encoder, pending: None, last_delay_us: Self::DEFAULT_DELAY_US })
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&mut self, frame: &Frame) -> Result<()> {
        let start_us = frame.time.as_us();
        let duration_us = frame.duration.map(|ticks| Time { ticks, ..frame.time }.as_us());
        let pending = Pending { picture: frame.picture.clone(), start_us, duration_us };
        if let Some(before) = self.pending.replace(pending) {
            self.last_delay_us = (start_us - before.start_us).max(0);
            self.encode(&before.picture)?;
        }
        Ok(())
    }

    /// Completes the file. An animation that was cut short is complete, too.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(mut self, _: Ending) -> Result<()> {
        if let Some(Pending { picture, duration_us, .. }) = self.pending.take() {
            self.last_delay_us = duration_us.unwrap_or(self.last_delay_us);
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
