//! What a file is, by its content.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::{ImageFormat, ImageResult};

use crate::error::{Error, Result};

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A model's input.
    Tensor,
    /// A picture that moves.
    Animation(ImageFormat),
    /// A single picture.
    Picture(ImageFormat),
    /// A picture in the HEIF container (HEIC, AVIF), which FFmpeg may read.
    Heif,
    /// JPEGs one after the other, as some cameras record.
    MotionJpeg,
    /// Anything else, which FFmpeg may read.
    Other,
}

/// Whether a file holds a model's input tensor, by its name.
pub fn is_tensor(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npy"))
}

/// What a file is.
///
/// # Errors
/// It cannot be read, or is empty.
pub fn kind_of(path: &Path) -> Result<Kind> {
    const HEAD: u64 = 64;
    if is_tensor(path) {
        return Ok(Kind::Tensor);
    }
    let failed = |e: std::io::Error| Error::reading(path, &e);
    let mut file = File::open(path).map_err(failed)?;
    let mut head = Vec::new();
    Read::by_ref(&mut file).take(HEAD).read_to_end(&mut head).map_err(failed)?;
    if head.is_empty() {
        return Err(Error::input(path, "the file is empty"));
    }
    if is_heif(&head) {
        return Ok(Kind::Heif);
    }
    let Ok(format) = image::guess_format(&head) else { return Ok(Kind::Other) };
    file.rewind().map_err(failed)?;
    let reader = BufReader::new(file);
    let moves = match format {
        ImageFormat::Gif => true,
        ImageFormat::WebP => WebPDecoder::new(reader).is_ok_and(|decoder| decoder.has_animation()),
        ImageFormat::Png => is_animated_png(reader).unwrap_or(false),
        ImageFormat::Jpeg if is_motion_jpeg(path).map_err(failed)? => return Ok(Kind::MotionJpeg),
        ImageFormat::Avif => return Ok(Kind::Heif),
        _ => false,
    };
    Ok(if moves { Kind::Animation(format) } else { Kind::Picture(format) })
}

fn is_animated_png(reader: BufReader<File>) -> ImageResult<bool> {
    PngDecoder::new(reader)?.is_apng()
}

/// Whether a file begins as one picture of ISO/IEC 23008-12 does.
fn is_heif(head: &[u8]) -> bool {
    const BRANDS: [&[u8]; 6] = [b"avif", b"heic", b"heix", b"heim", b"mif1", b"msf1"];
    head.get(4..8) == Some(b"ftyp") && head.get(8..12).is_some_and(|brand| BRANDS.contains(&brand))
}

/// Whether a file that is not called .jpg holds JPEGs one after the other. A second picture that the first one announces
/// (Multi-Picture Format) is a depth or a gain map, and none of a film.
fn is_motion_jpeg(path: &Path) -> std::io::Result<bool> {
    /// A picture of a film is smaller.
    const LONGEST: u64 = 32 << 20;
    const PICTURES: [&str; 4] = ["jpg", "jpeg", "jpe", "jfif"];
    if path.extension().is_some_and(|e| PICTURES.iter().any(|name| e.eq_ignore_ascii_case(name))) {
        return Ok(false);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(end_of_jpeg(&bytes).is_some_and(|end| holds_another_jpeg(&bytes, end)))
}

/// Whether another JPEG follows the one that ends at `end`, unless that announces it.
pub fn holds_another_jpeg(bytes: &[u8], end: usize) -> bool {
    let announced = bytes[..end].windows(4).any(|part| part == b"MPF\0");
    !announced && bytes[end..].starts_with(&[0xFF, 0xD8, 0xFF])
}

/// Where the first JPEG of a file ends; `None` if its end is missing (ITU-T T.81, annex B).
pub fn end_of_jpeg(bytes: &[u8]) -> Option<usize> {
    let mut at = 2;
    loop {
        let marker = *bytes.get(at + 1)?;
        match (bytes[at], marker) {
            (0xFF, 0xD9) => return Some(at + 2),
            (0xFF, 0xDA) => {
                at += 2 + usize::from(u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]));
                // In the picture's data, 0xFF stands before 0x00 or the number of a restart.
                while bytes.get(at) != Some(&0xFF) || matches!(bytes.get(at + 1)?, 0x00 | 0xD0..=0xD7) {
                    bytes.get(at)?;
                    at += 1;
                }
            }
            (0xFF, 0xFF) => at += 1,
            (0xFF, _) => at += 2 + usize::from(u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?])),
            _ => at += 1,
        }
    }
}
