//! An animated picture (GIF, WebP, PNG), with the duration of each of its pictures.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::LoopCount;
use image::{AnimationDecoder, Frames, ImageDecoder, ImageError, ImageFormat, ImageResult};

use super::interface::Source;
use crate::error::{Error, Result};
use crate::files::limits::{self, check_picture};
use crate::media::alpha::rgba_over_white;
use crate::media::{Frame, Medium, MediumKind, Time, TimeBase, name_of};
use crate::sync::guarded;

/// An animated picture.
pub struct AnimationSource {
    path: PathBuf,
    frames: Frames<'static>,
    medium: Arc<Medium>,
    index: u64,
    ticks: i64,
}

/// Frames, size in pixels, and how often it is played again.
type Opened = (Frames<'static>, (u32, u32), Option<u16>);

impl AnimationSource {
    /// Durations up to this are shown as [`AnimationSource::DEFAULT_MS`], as browsers do: they stand for "no duration".
    const TOO_SHORT_MS: i64 = 10;
    const DEFAULT_MS: i64 = 100;

    /// Opens an animation of the given format.
    ///
    /// # Errors
    /// The file is none, or it is damaged.
    pub fn open(path: &Path, format: ImageFormat) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::reading(path, &e))?;
        let reader = BufReader::new(file);
        let opened = match format {
            ImageFormat::Gif => gif(path, reader),
            ImageFormat::WebP => webp(reader),
            _ => png(reader),
        };
        let (frames, (width, height), repeats) = opened.map_err(|e| unreadable(path, e))?;
        check_picture(path, width, height)?;
        let medium = Medium {
            name: name_of(path),
            path: Some(path.to_owned()),
            address: None,
            kind: MediumKind::Animation { repeats },
            width,
            height,
            time_base: TimeBase::MILLISECONDS,
        };
        Ok(Self { path: path.to_owned(), frames, medium: Arc::new(medium), index: 0, ticks: 0 })
    }
}

fn gif(path: &Path, reader: BufReader<File>) -> ImageResult<Opened> {
    let decoder = GifDecoder::new(reader)?;
    let size = decoder.dimensions();
    check_size(size)?;
    Ok((decoder.into_frames(), size, gif_repeats(path)))
}

fn webp(reader: BufReader<File>) -> ImageResult<Opened> {
    let decoder = WebPDecoder::new(reader)?;
    let size = decoder.dimensions();
    check_size(size)?;
    let repeats = repeats(decoder.loop_count());
    Ok((decoder.into_frames(), size, repeats))
}

fn png(reader: BufReader<File>) -> ImageResult<Opened> {
    let decoder = PngDecoder::new(reader)?;
    let size = decoder.dimensions();
    check_size(size)?;
    let decoder = decoder.apng()?;
    let repeats = repeats(decoder.loop_count());
    Ok((decoder.into_frames(), size, repeats))
}

/// Refuses a size before memory is taken for it; the caller words the error.
fn check_size((width, height): (u32, u32)) -> ImageResult<()> {
    use image::error::{LimitError, LimitErrorKind};
    if u64::from(width) * u64::from(height) > limits::PIXELS {
        return Err(ImageError::Limits(LimitError::from_kind(LimitErrorKind::DimensionError)));
    }
    Ok(())
}

/// How often it is played again after the first time.
fn repeats(count: LoopCount) -> Option<u16> {
    match count {
        LoopCount::Infinite => None,
        LoopCount::Finite(times) => Some(u16::try_from(times.get() - 1).unwrap_or(u16::MAX)),
    }
}

/// The number in the application extension of Netscape; a GIF without it is played once.
fn gif_repeats(path: &Path) -> Option<u16> {
    const MARK: &[u8] = b"NETSCAPE2.0\x03\x01";
    /// It stands before the first picture.
    const NEAREST: u64 = 1 << 20;
    let mut bytes = Vec::new();
    let head = File::open(path).and_then(|file| file.take(NEAREST).read_to_end(&mut bytes));
    if head.is_err() {
        return Some(0);
    }
    let at = bytes.windows(MARK.len()).position(|part| part == MARK);
    match at.and_then(|at| bytes.get(at + MARK.len()..at + MARK.len() + 2)) {
        Some(&[low, high]) => Some(u16::from_le_bytes([low, high])).filter(|times| *times > 0),
        _ => Some(0),
    }
}

fn unreadable(path: &Path, error: ImageError) -> Error {
    if let ImageError::Limits(_) = error {
        let most = limits::PIXELS / 1_000_000;
        return Error::input(path, format!("whycam takes {most} million pixels at most; make it smaller first"));
    }
    Error::input(path, format!("not an animation that whycam can read: {error}")).caused_by(error)
}

impl Source for AnimationSource {
    fn next_frame(&mut self) -> Result<Option<Frame>> {
        let broken = || Error::input(&self.path, "the picture library failed on it (a fault of that library)");
        let Some(next) = guarded(|| self.frames.next()).ok_or_else(broken)? else { return Ok(None) };
        let next = next.map_err(|e| unreadable(&self.path, e))?;
        let (numerator, denominator) = next.delay().numer_denom_ms();
        let stated = i64::from(numerator / denominator.max(1));
        let shown = if stated <= Self::TOO_SHORT_MS { Self::DEFAULT_MS } else { stated };
        let time = Time { ticks: self.ticks, base: TimeBase::MILLISECONDS };
        self.ticks += shown;
        let picture = rgba_over_white(&next.into_buffer());
        let frame = Frame { duration: Some(shown), ..Frame::now(&self.medium, self.index, time, picture) };
        self.index += 1;
        Ok(Some(frame))
    }

    fn frame_count(&self) -> Option<u64> {
        None
    }
}
