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
    /// Until when the written pictures are shown, in hundredths of a second, which is a GIF's unit.
    shown_until: i64,
    last_delay_us: i64,
    /// Whether a picture was written in part.
    is_broken: bool,
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
    /// The shortest time for which viewers show a picture, in hundredths of a second.
    const SHORTEST: i64 = 2;
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
        Ok(Self {
            file,
            encoder,
            pending: None,
            shown_until: 0,
            last_delay_us: Self::DEFAULT_DELAY_US,
            is_broken: false,
        })
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&mut self, frame: &Frame) -> Result<()> {
        let start_us = frame.time.as_us();
        let duration_us = frame.duration.map(|ticks| Time { ticks, ..frame.time }.as_us());
        let picture = frame.picture.clone();
        let Some(before) = self.pending.take() else {
            self.shown_until = hundredths(start_us);
            self.pending = Some(Pending { picture, start_us, duration_us });
            return Ok(());
        };
        self.last_delay_us = (start_us - before.start_us).max(0);
        let delay = hundredths(start_us) - self.shown_until;
        // Of pictures that come faster than viewers show them, the later one takes the place.
        if delay >= Self::SHORTEST {
            self.encode(&before.picture, delay)?;
        }
        self.pending = Some(Pending { picture, start_us, duration_us });
        Ok(())
    }

    /// Completes the file. An animation that was cut short is complete, too; one with a picture that was written in part
    /// is removed.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(mut self, _: Ending) -> Result<()> {
        if self.is_broken {
            return Ok(());
        }
        if let Some(Pending { picture, duration_us, .. }) = self.pending.take() {
            let delay = hundredths(duration_us.unwrap_or(self.last_delay_us));
            self.encode(&picture, delay.max(Self::SHORTEST))?;
        }
        let Self { mut file, encoder, .. } = self;
        drop(encoder);
        file.complete()
    }

    /// Writes a picture that is shown for `delay` hundredths of a second.
    fn encode(&mut self, picture: &RgbImage, delay: i64) -> Result<()> {
        self.shown_until += delay;
        self.is_broken = true;
        let delay = Delay::from_numer_denom_ms(u32::try_from(10 * delay).unwrap_or(u32::MAX), 1);
        let picture = picture.convert();
        let frame = image::Frame::from_parts(picture, 0, 0, delay);
        self.encoder.encode_frame(frame).map_err(|e| failed(&self.file.path, e))?;
        self.is_broken = false;
        Ok(())
    }
}

/// In hundredths of a second, rounded.
fn hundredths(us: i64) -> i64 {
    us.saturating_add(5_000).div_euclid(10_000)
}

fn failed(path: &Path, error: ImageError) -> Error {
    match error {
        ImageError::IoError(e) => Error::writing(path, &e),
        other => Error::output(path, other),
    }
}
