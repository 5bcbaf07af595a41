//! Which colours the numbers of a film stand for, on the way in and out.

use ffmpeg::color::{Range, Space, TransferCharacteristic};
use ffmpeg::format::Pixel;
use ffmpeg::util::frame::Video;
use ffmpeg_the_third as ffmpeg;
use yuv::{YuvRange, YuvStandardMatrix};

/// How FFmpeg's scaler works: without these flags it loses more than a level of brightness.
pub const SCALER: &str = "flags=bicubic+accurate_rnd+full_chroma_int";

/// The scaler's option for the matrix of pictures of this size, or nothing where the film says it. Without a word,
/// pictures of high definition are in BT.709 and others in BT.601, as ffplay, mpv and browsers have it.
pub fn matrix_option(space: Space, width: u32, height: u32) -> &'static str {
    match space {
        Space::Unspecified if is_hd(width, height) => ":in_color_matrix=bt709",
        Space::Unspecified => ":in_color_matrix=bt601",
        _ => "",
    }
}

fn is_hd(width: u32, height: u32) -> bool {
    width >= 1280 || height > 576
}

/// The matrix and range of 8-bit 4:2:0 pictures, where they are of the usual kinds.
pub fn usual_yuv(frame: &Video) -> Option<(YuvStandardMatrix, YuvRange)> {
    let is_full = frame.format() == Pixel::YUVJ420P || frame.color_range() == Range::JPEG;
    if !matches!(frame.format(), Pixel::YUV420P | Pixel::YUVJ420P) {
        return None;
    }
    let matrix = match frame.color_space() {
        Space::BT709 => YuvStandardMatrix::Bt709,
        Space::Unspecified if is_hd(frame.width(), frame.height()) => YuvStandardMatrix::Bt709,
        Space::BT470BG | Space::SMPTE170M | Space::Unspecified => YuvStandardMatrix::Bt601,
        _ => return None,
    };
    Some((matrix, if is_full { YuvRange::Full } else { YuvRange::Limited }))
}

/// What a user should know of colours that are shown as they are, though they are not those of a screen.
pub fn transfer_notice(transfer: TransferCharacteristic) -> Option<&'static str> {
    match transfer {
        TransferCharacteristic::SMPTE2084 => {
            Some("it is an HDR film (PQ), explained and shown without tone mapping, so its colours look washed out")
        }
        TransferCharacteristic::ARIB_STD_B67 => {
            Some("it is an HDR film (HLG), explained and shown without tone mapping, so its colours look washed out")
        }
        _ => None,
    }
}

/// Whether a pixel format holds red, green and blue rather than luma and chroma.
pub fn is_rgb(pixel: Pixel) -> bool {
    let name = super::ffmpeg_filter::pixel_name(pixel);
    ["rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr"].iter().any(|start| name.starts_with(start))
}

/// Whether a pixel format has an alpha channel.
pub fn has_alpha(pixel: Pixel) -> bool {
    let name = super::ffmpeg_filter::pixel_name(pixel);
    let starts = ["yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya8", "ya16", "pal8", "ayuv", "vuya"];
    starts.iter().any(|start| name.starts_with(start))
}

/// How a film in a pixel format is tagged: RGB as it is, all others in BT.709.
pub fn tags(pixel: Pixel) -> (Space, Range) {
    if is_rgb(pixel) {
        (Space::RGB, Range::JPEG)
    } else if super::ffmpeg_filter::pixel_name(pixel).starts_with("yuvj") {
        (Space::BT709, Range::JPEG)
    } else {
        (Space::BT709, Range::MPEG)
    }
}
