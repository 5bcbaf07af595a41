//! Opening files and streams, and their decoders.

use std::ffi::OsStr;

use ffmpeg::codec::threading;
use ffmpeg::format::context::Input;
use ffmpeg_the_third as ffmpeg;

use crate::error::{Error, Result};
use crate::files::limits;
use crate::media::packets::open_address;

/// Demuxers of text, which would show any text file as a film of letters.
const OF_TEXT: &[&str] = &["tty", "bin", "xbin", "adf", "idf"];

/// Opens a file or a stream. `name` is its name in messages.
///
/// # Errors
/// It is absent, or FFmpeg cannot read it as pictures.
pub fn open_input(name: &str, address: &OsStr, is_stream: bool) -> Result<Input> {
    ffmpeg::log::set_level(ffmpeg::log::Level::Quiet);
    let input = open_address(address).map_err(|e| unreadable(name, is_stream, e))?;
    if OF_TEXT.contains(&input.format().name()) {
        return Err(Error::input(name, "it is text, neither a picture nor a film"));
    }
    Ok(input)
}

pub fn unreadable(name: &str, is_stream: bool, error: ffmpeg::Error) -> Error {
    let what = if is_stream { "no stream" } else { "neither a picture nor a film" };
    Error::input(name, format!("{what} that whycam can read: {error}")).caused_by(error)
}

/// The decoder of a stream, on `threads` threads (0: its own choice).
///
/// # Errors
/// FFmpeg has none.
pub fn open_decoder(
    stream: &ffmpeg::Stream,
    threads: usize,
    is_stream: bool,
) -> Result<ffmpeg::decoder::Video, ffmpeg::Error> {
    let mut codec = ffmpeg::codec::Context::from_parameters(stream.parameters())?;
    // Frame threads delay frames, which a live stream must not.
    let kind = if is_stream { threading::Type::Slice } else { threading::Type::Frame };
    codec.set_threading(threading::Config { count: threads, ..threading::Config::kind(kind) });
    let decoder = ffmpeg::codec::decoder::find(codec.id()).ok_or(ffmpeg::Error::DecoderNotFound)?;
    let max_pixels = limits::PIXELS.to_string();
    let opened = codec.decoder().open_as_with(decoder, ffmpeg::dict! { "max_pixels" => max_pixels.as_str() });
    opened.and_then(ffmpeg::decoder::Opened::video)
}
