//! Frames as a live stream to a receiver in the network.

use std::path::{Path, PathBuf};

use ffmpeg_the_third as ffmpeg;
use image::imageops;

use super::encoder;
use super::errors::failed;
use super::storage::Storage;
use super::video_stream::VideoStream;
use crate::error::{Error, Result};
use crate::media::{Frame, Medium, MediumKind, Time};
use crate::sink::interface::Encoding;
use crate::sink::reconnecting::LiveOutput;

/// The schemes of addresses that are streamed to, and FFmpeg's format of each.
const SCHEMES: &[(&str, &str)] = &[
    ("rtmp", "flv"),
    ("rtmps", "flv"),
    ("rtsp", "rtsp"),
    ("rtsps", "rtsp"),
    ("srt", "mpegts"),
    ("tcp", "mpegts"),
    ("udp", "mpegts"),
];
/// How long a receiver may take nothing, in microseconds.
const TIMEOUT_US: &str = "5000000";

/// FFmpeg's format for an address.
fn format_of(address: &Path) -> Result<&'static str> {
    let text = address.to_str().unwrap_or_default();
    let (scheme, receiver) = text.split_once("://").unwrap_or_default();
    if receiver.split('/').next().is_none_or(str::is_empty) {
        return Err(Error::output(address, "it names no receiver; give it like srt://HOST:PORT"));
    }
    let known = SCHEMES.iter().find(|(known, _)| scheme.eq_ignore_ascii_case(known));
    known.map(|(_, format)| *format).ok_or_else(|| {
        let known: Vec<String> = SCHEMES.iter().map(|(known, _)| format!("{known}://")).collect();
        Error::output(address, format!("whycam streams to {}", known.join(", ")))
    })
}

/// A live stream of H.264 to one receiver. It has no sound.
pub struct Broadcast {
    address: PathBuf,
    video: VideoStream,
    /// The time of the first frame, which is 0 for the receiver.
    began: Time,
}

impl Broadcast {
    /// Checks the address. Nothing is sent.
    ///
    /// # Errors
    /// whycam does not stream to such addresses, or FFmpeg lacks the encoder.
    pub fn check(address: &Path, encoding: &Encoding) -> Result<()> {
        format_of(address)?;
        encoder::find(address, encoding).map(drop)
    }

    /// Connects to the receiver, to send frames like this one.
    ///
    /// # Errors
    /// It cannot be reached, or the encoder does not take such pictures.
    pub fn connect(address: &Path, frame: &Frame, encoding: &Encoding) -> Result<Self> {
        ffmpeg::log::set_level(ffmpeg::log::Level::Quiet);
        let format = format_of(address)?;
        let fail = |e| failed(address, e);
        let medium = Medium {
            kind: MediumKind::Live,
            width: even(frame.medium.width),
            height: even(frame.medium.height),
            ..(*frame.medium).clone()
        };
        let codec = encoder::find(address, encoding)?;
        let timeout = ffmpeg::dict! { "rw_timeout" => TIMEOUT_US };
        let output = ffmpeg::format::output_as_with(address, format, timeout).map_err(|e| unreachable(address, e))?;
        let storage = Storage::of(&medium, format);
        let mut video = VideoStream::add(address, output, &medium, &storage, (codec, encoding))?;
        // A firewall lets fewer datagrams through.
        let options = match format {
            "rtsp" => ffmpeg::dict! { "rtsp_transport" => "tcp" },
            "flv" => ffmpeg::dict! { "flvflags" => "no_duration_filesize" },
            _ => ffmpeg::Dictionary::new(),
        };
        video.output.write_header_with(options).map_err(fail)?;
        Ok(Self { address: address.to_owned(), video, began: frame.time })
    }
}

/// That a receiver does not take pictures, in the system's words where it has some.
fn unreachable(address: &Path, error: ffmpeg::Error) -> Error {
    let why = match error {
        ffmpeg::Error::Other { errno } => std::io::Error::from_raw_os_error(errno).to_string(),
        other => other.to_string(),
    };
    Error::output(address, format!("its receiver cannot be reached ({why})"))
}

/// The chroma of H.264 that every receiver takes needs even sides.
fn even(side: u32) -> u32 {
    (side & !1).max(2)
}

impl LiveOutput for Broadcast {
    fn write(&mut self, frame: &Frame) -> Result<()> {
        let (width, height) = frame.picture.dimensions();
        let picture = if (even(width), even(height)) == (width, height) {
            frame.picture.clone()
        } else {
            imageops::crop_imm(&*frame.picture, 0, 0, even(width), even(height)).to_image().into()
        };
        let mut sent = frame.with_picture(picture);
        sent.time.ticks -= self.began.ticks;
        self.video.encode(&sent).map(drop).map_err(|e| unreachable(&self.address, e))
    }

    fn finish(mut self: Box<Self>) {
        // The receiver may be gone.
        let _ = self.video.end();
        let _ = self.video.output.write_trailer();
    }
}
