//! A picture file, turned upright by its Exif orientation.

use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, RgbImage};

#[cfg(feature = "video")]
use super::film::read_picture;
use super::interface::Source;
use super::kind::{Kind, end_of_jpeg, holds_another_jpeg, kind_of};
use crate::error::{Error, Result};
use crate::files::limits::{self, check_picture};
use crate::media::alpha::over_white;
use crate::media::{Frame, Report};
use crate::sync::guarded;

/// A picture file.
pub struct StillSource {
    frame: Option<Frame>,
}

impl StillSource {
    /// Reads a picture, with the picture library or, where that fails, with FFmpeg. What is missing of a damaged one goes
    /// to the report.
    ///
    /// # Errors
    /// Neither can read it.
    pub fn open(path: &Path, report: &Report) -> Result<Self> {
        let bytes = limits::read(path, limits::PICTURE_BYTES).map_err(|e| Error::reading(path, &e))?;
        let picture = match Self::decode(path, &bytes) {
            Ok(picture) => {
                tell_of_jpeg(path, &bytes, report);
                picture
            }
            Err(refusal) => Self::with_ffmpeg(path, refusal, report)?,
        };
        Ok(Self::of(path, picture))
    }

    /// A picture that was read already.
    pub fn of(path: &Path, picture: RgbImage) -> Self {
        Self { frame: Some(Frame::alone(path, picture, None)) }
    }

    fn decode(path: &Path, bytes: &[u8]) -> Result<RgbImage, Refusal> {
        let broken = || Err(Refusal::new(path, "the picture library failed on it (a fault of that library)"));
        guarded(|| decode(path, bytes)).unwrap_or_else(broken)
    }

    /// # Errors
    /// The refusal of the picture library, if FFmpeg cannot read it either.
    fn with_ffmpeg(path: &Path, refusal: Refusal, report: &Report) -> Result<RgbImage> {
        if refusal.is_final {
            return Err(refusal.error);
        }
        let Ok(picture) = read_picture(path) else { return Err(hint_for(path, refusal.error)) };
        if refusal.is_damage {
            report.damaged(path, &format!("it is damaged, and a part of it may be missing ({})", refusal.reason));
        }
        Ok(picture)
    }
}

/// Tells what is missing of a JPEG, or what else is in its file.
fn tell_of_jpeg(path: &Path, bytes: &[u8], report: &Report) {
    if !bytes.starts_with(&[0xFF, 0xD8]) {
        return;
    }
    match end_of_jpeg(bytes) {
        None => report.damaged(path, "its end is missing, so that a part of it may be grey"),
        Some(end) if holds_another_jpeg(bytes, end) => {
            let problem = "it holds several JPEGs, and only the first is explained; call it .mjpeg to explain all";
            report.tell(format!("{}: {problem}", path.display()));
        }
        Some(_) => {}
    }
}

/// Why the picture library gave no picture.
struct Refusal {
    error: Error,
    reason: String,
    /// Whether the file is damaged, rather than of an unknown form.
    is_damage: bool,
    /// Whether FFmpeg shall not try it.
    is_final: bool,
}

impl Refusal {
    fn new(path: &Path, reason: impl ToString) -> Self {
        let reason = reason.to_string();
        let error = Error::input(path, format!("not a picture that whycam can read: {reason}"));
        Self { error, reason, is_damage: false, is_final: false }
    }

    fn of(path: &Path, error: ImageError) -> Self {
        let is_damage = matches!(error, ImageError::Decoding(_) | ImageError::IoError(_));
        let refusal = Self::new(path, &error);
        Self { error: refusal.error.caused_by(error), is_damage, ..refusal }
    }
}

fn decode(path: &Path, bytes: &[u8]) -> Result<RgbImage, Refusal> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let mut reader = reader.map_err(|e| Refusal::new(path, e))?;
    if reader.format().is_none()
        && let Ok(format) = ImageFormat::from_path(path)
    {
        reader.set_format(format);
    }
    let mut decoder = reader.into_decoder().map_err(|e| Refusal::of(path, e))?;
    let (width, height) = decoder.dimensions();
    if let Err(error) = check_picture(path, width, height) {
        return Err(Refusal { error, is_final: true, ..Refusal::new(path, "") });
    }
    let orientation = orientation(&mut decoder);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|e| Refusal::of(path, e))?;
    picture.apply_orientation(orientation);
    Ok(over_white(picture))
}

/// How a picture is turned upright. Some writers of WebP put the mark before the Exif data that only JPEG has.
fn orientation(decoder: &mut impl ImageDecoder) -> Orientation {
    const MARK: &[u8] = b"Exif\0\0";
    let exif = decoder.exif_metadata().ok().flatten();
    let own =
        exif.as_deref().map(|exif| exif.strip_prefix(MARK).unwrap_or(exif)).and_then(Orientation::from_exif_chunk);
    own.or_else(|| decoder.orientation().ok()).unwrap_or(Orientation::NoTransforms)
}

/// What to do about a file that neither library reads.
fn hint_for(path: &Path, refusal: Error) -> Error {
    match kind_of(path) {
        Ok(Kind::Heif) => Error::input(
            path,
            "a picture in the HEIF container (HEIC or AVIF) of a kind that the FFmpeg here does not read; save it as JPEG, \
             for instance with heif-convert, or install a newer FFmpeg",
        ),
        _ => refusal,
    }
}

#[cfg(not(feature = "video"))]
fn read_picture(path: &Path) -> Result<RgbImage> {
    Err(Error::input(path, "this build of whycam has no FFmpeg (feature `video`)"))
}

impl Source for StillSource {
    fn next_frame(&mut self) -> Result<Option<Frame>> {
        Ok(self.frame.take())
    }

    fn frame_count(&self) -> Option<u64> {
        Some(1)
    }
}
