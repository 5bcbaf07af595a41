//! An animated GIF, with the delay of each picture.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::codecs::gif::GifDecoder;
use image::{AnimationDecoder, DynamicImage, Frames, ImageDecoder, ImageError};

use super::interface::Source;
use crate::error::{Error, Result};
use crate::files::limits::check_picture;
use crate::media::{Frame, Medium, MediumKind, Time, TimeBase};

/// An animated GIF.
pub struct GifSource {
    path: PathBuf,
    frames: Frames<'static>,
    medium: Arc<Medium>,
    index: u64,
    ticks: i64,
}

impl GifSource {
    /// Opens a GIF.
    ///
    /// # Errors
    /// The file is not a GIF, or it is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::reading(path, &e))?;
        let decoder = GifDecoder::new(BufReader::new(file)).map_err(|e| unreadable(path, e))?;
        let (width, height) = decoder.dimensions();
        check_picture(path, width, height)?;
        let medium = Medium {
            name: path.display().to_string(),
            path: Some(path.to_owned()),
            kind: MediumKind::Animation,
            width,
            height,
            time_base: TimeBase::MILLISECONDS,
        };
        Ok(Self { path: path.to_owned(), frames: decoder.into_frames(), medium: Arc::new(medium), index: 0, ticks: 0 })
    }
}

fn unreadable(path: &Path, error: ImageError) -> Error {
    Error::input(path, format!("not a GIF that whycam can read: {error}")).caused_by(error)
}

impl Source for GifSource {
    fn next_frame(&mut self) -> Result<Option<Frame>> {
        let Some(next) = self.frames.next() else { return Ok(None) };
        let next = next.map_err(|e| unreadable(&self.path, e))?;
        let (numerator, denominator) = next.delay().numer_denom_ms();
        let time = Time { ticks: self.ticks, base: TimeBase::MILLISECONDS };
        self.ticks += i64::from(numerator / denominator.max(1));
        let picture = DynamicImage::ImageRgba8(next.into_buffer()).into_rgb8();
        let frame = Frame::now(&self.medium, self.index, time, picture);
        self.index += 1;
        Ok(Some(frame))
    }

    fn frame_count(&self) -> Option<u64> {
        None
    }
}
