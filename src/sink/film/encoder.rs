//! The choice of a film's encoder, and its settings.

use std::path::Path;

use ffmpeg::format::Pixel;
use ffmpeg_the_third as ffmpeg;

use super::storage::Storage;
use crate::error::{Error, Result};
use crate::media::colour::tags;
use crate::media::{Medium, MediumKind};
use crate::sink::interface::Encoding;

/// Encoders with a constant rate factor, and the factor used by default.
const RATE_FACTORS: &[(&str, u8)] = &[
    ("libx264", 20),
    ("libx264rgb", 20),
    ("libx265", 23),
    ("libvpx-vp9", 30),
    ("libvpx", 20),
    ("libsvtav1", 32),
    ("libaom-av1", 32),
];

/// Frames from one picture that stands for itself to the next. A viewer who comes later waits for one.
const KEYFRAME_INTERVAL: &str = "50";

/// The encoder by its name, or else by the file name.
///
/// # Errors
/// This FFmpeg lacks the encoder, or the encoder has no constant rate factor and `encoding` sets one.
pub fn find(path: &Path, encoding: &Encoding) -> Result<ffmpeg::Codec> {
    if let Some(name) = &encoding.encoder {
        let codec = ffmpeg::encoder::find_by_name(name).filter(|codec| codec.is_encoder() && codec.is_video());
        let codec = codec.ok_or_else(|| {
            let known = format!("this FFmpeg has no film encoder '{name}'; `ffmpeg -encoders` lists them");
            Error::output(path, known)
        })?;
        if encoding.quality.is_some() && rate_factor(codec.name()).is_none() {
            let known: Vec<&str> = RATE_FACTORS.iter().map(|(name, _)| *name).collect();
            let known = known.join(", ");
            let problem =
                format!("{name} has no constant rate factor; leave the quality out, or choose one of {known}");
            return Err(Error::output(path, problem));
        }
        return Ok(codec);
    }
    let webm = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("webm"));
    let wanted = if webm { ["libvpx-vp9", "libvpx"] } else { ["libx264", "mpeg4"] };
    let codec = wanted.iter().find_map(|name| ffmpeg::encoder::find_by_name(name));
    codec.ok_or_else(|| {
        Error::output(path, "FFmpeg here has no encoder for it; install FFmpeg with libx264, or name a .gif")
    })
}

fn rate_factor(encoder: &str) -> Option<u8> {
    RATE_FACTORS.iter().find(|(name, _)| *name == encoder).map(|(_, factor)| *factor)
}

/// Opens the encoder; returns it with the expected duration of a frame in ticks of `time_base`.
pub fn open_encoder(
    (codec, encoding): (ffmpeg::Codec, &Encoding),
    medium: &Medium,
    storage: &Storage,
    output: &ffmpeg::format::context::Output,
    time_base: ffmpeg::Rational,
) -> Result<(ffmpeg::encoder::video::Encoder, i64), ffmpeg::Error> {
    let mut video = ffmpeg::codec::Context::new_with_codec(codec).encoder().video()?;
    video.set_width(storage.width);
    video.set_height(storage.height);
    video.set_aspect_ratio(storage.sample_aspect);
    video.set_format(pixel_format(codec, medium)?);
    video.set_time_base(time_base);
    let (space, range) = tags(video.format());
    video.set_colorspace(space);
    video.set_color_range(range);
    let mut frame_ticks = 1;
    if let MediumKind::Film { frame_rate: (n, d), .. } = medium.kind
        && n > 0
        && d > 0
    {
        video.set_frame_rate(Some(ffmpeg::Rational::new(n, d)));
        let ticks = f64::from(d) / f64::from(n) / f64::from(time_base);
        frame_ticks = (ticks.round() as i64).max(1);
    }
    let mut options = options(codec.name(), encoding, medium.kind == MediumKind::Live);
    if output.format().flags().contains(ffmpeg::format::Flags::GLOBAL_HEADER) {
        // As an option it is added to the encoder's default flags; `set_flags` would replace them.
        options.set("flags", "+global_header");
    }
    Ok((video.open_with(options)?, frame_ticks))
}

fn pixel_format(codec: ffmpeg::Codec, medium: &Medium) -> Result<Pixel, ffmpeg::Error> {
    // 4:2:0 requires even sizes.
    let odd = medium.width % 2 == 1 || medium.height % 2 == 1;
    let wanted = match codec.name() {
        // It takes the full range alone.
        "mjpeg" => Pixel::YUVJ420P,
        "mpeg4" => Pixel::YUV420P,
        _ if odd => Pixel::YUV444P,
        _ => Pixel::YUV420P,
    };
    let video = codec.video().ok_or(ffmpeg::Error::InvalidData)?;
    let mut offered: Vec<Pixel> = video.formats().into_iter().flatten().collect();
    offered.sort_by_key(|format| *format != wanted);
    Ok(offered.first().copied().unwrap_or(wanted))
}

/// What a user should know of a film of an odd size.
pub fn odd_size_notice(pixel: Pixel, codec: ffmpeg::Codec, width: u32, height: u32) -> Option<String> {
    let odd = width % 2 == 1 || height % 2 == 1;
    (odd && pixel == Pixel::YUV444P && codec.name().starts_with("libx26")).then(|| {
        format!(
            "its odd size {width}x{height} needs full chroma (4:4:4), which browsers and phones do not play; for those, write a \
             .webm, or scale the film to even sides first"
        )
    })
}

/// The encoder's options. For a live medium, the encoder must not delay frames.
fn options(encoder: &str, encoding: &Encoding, live: bool) -> ffmpeg::Dictionary {
    let mut options = ffmpeg::dict! { "threads" => encoding.threads.to_string() };
    if let Some(factor) = encoding.quality.or_else(|| rate_factor(encoder)) {
        options.set("crf", factor.to_string());
    }
    if live {
        options.set("g", KEYFRAME_INTERVAL);
    }
    match encoder {
        "libx264" | "libx264rgb" | "libx265" => {
            options.set("preset", "veryfast");
            if live {
                options.set("tune", "zerolatency");
            }
        }
        "libvpx-vp9" | "libvpx" => {
            for (name, value) in [("b", "0"), ("deadline", "realtime"), ("cpu-used", "6"), ("row-mt", "1")] {
                options.set(name, value);
            }
            options.set("lag-in-frames", if live { "0" } else { "25" });
        }
        "libsvtav1" => options.set("preset", "8"),
        "libaom-av1" => options.set("cpu-used", "8"),
        _ => {}
    }
    options
}
