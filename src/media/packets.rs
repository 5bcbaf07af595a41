//! The packets of a film in the order of its file, with continuous times.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use ffmpeg::format::context::Input;
use ffmpeg_the_third as ffmpeg;

use super::timeline::Timeline;

/// Reads packets, and keeps the times of picture and sound continuous.
pub struct Packets {
    pub input: Input,
    timeline: Timeline,
    /// The time base of each stream of picture or sound, in seconds.
    bases: Vec<Option<f64>>,
}

/// A file's name as FFmpeg takes it: `a:b.mp4` alone would be a protocol.
pub fn file_address(path: &Path) -> OsString {
    let mut address = OsString::from("file:");
    address.push(path);
    address
}

/// Opens a file, or connects to a stream, which ends after ten seconds without data. RTSP uses TCP, which loses nothing,
/// and UDP if the server refuses TCP.
///
/// # Errors
/// It is absent, or FFmpeg cannot read it.
pub fn open_address(address: &OsStr) -> Result<Input, ffmpeg::Error> {
    let bytes = address.as_encoded_bytes();
    if bytes.starts_with(b"file:") {
        return ffmpeg::format::input(address);
    }
    let through = |transport: &str| {
        let options =
            ffmpeg::dict! { "rw_timeout" => "10000000", "timeout" => "10000000", "rtsp_transport" => transport };
        ffmpeg::format::input_with_dictionary(address, options)
    };
    through("tcp").or_else(|error| if bytes.starts_with(b"rtsp") { through("udp") } else { Err(error) })
}

impl Packets {
    pub fn new(input: Input) -> Self {
        let timed = |stream: ffmpeg::Stream| {
            let kind = stream.parameters().medium();
            let moving = !stream.disposition().contains(ffmpeg::format::stream::Disposition::ATTACHED_PIC);
            let timed = moving && matches!(kind, ffmpeg::media::Type::Video | ffmpeg::media::Type::Audio);
            timed.then(|| f64::from(stream.time_base()))
        };
        let bases = input.streams().map(timed).collect();
        Self { input, timeline: Timeline::new(), bases }
    }

    /// The next packet; `None` at the end.
    pub fn next(&mut self) -> Option<ffmpeg::Packet> {
        let mut packet = ffmpeg::Packet::empty();
        packet.read(&mut self.input).ok()?;
        let timed = self.bases.get(packet.stream()).copied().flatten();
        let Some(base) = timed.filter(|base| *base > 0.0) else { return Some(packet) };
        let us = |ticks: i64| (ticks as f64 * base * 1e6).round() as i64;
        let offset = self.timeline.offset_for(packet.stream(), packet.dts().map(us), us(packet.duration()));
        if offset != 0 {
            let ticks = (offset as f64 / 1e6 / base).round() as i64;
            packet.set_pts(packet.pts().map(|time| time.saturating_add(ticks)));
            packet.set_dts(packet.dts().map(|time| time.saturating_add(ticks)));
        }
        Some(packet)
    }

    /// How many steps and leaps of the clock were bridged.
    pub fn bridged(&self) -> u64 {
        self.timeline.bridged()
    }
}
