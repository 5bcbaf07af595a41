//! The packets of a film in the order of its file, with continuous times.

use std::ffi::OsString;
use std::path::Path;

use ffmpeg::format::context::Input;
use ffmpeg_the_third as ffmpeg;

use super::timeline::Timeline;

/// Reads packets, and keeps the times of picture and sound continuous.
pub struct Packets {
    pub input: Input,
    timeline: Timeline,
    /// The time base in seconds of each stream of picture or sound, and whether it is sound.
    bases: Vec<Option<(f64, bool)>>,
}

/// A file's name as FFmpeg takes it: `a:b.mp4` alone would be a protocol.
pub fn file_address(path: &Path) -> OsString {
    let mut address = OsString::from("file:");
    address.push(path);
    address
}

impl Packets {
    pub fn new(input: Input) -> Self {
        let timeline = Timeline::new(input.format().flags().contains(ffmpeg::format::Flags::TS_DISCONT));
        let timed = |stream: ffmpeg::Stream| {
            let kind = stream.parameters().medium();
            let moving = !stream.disposition().contains(ffmpeg::format::stream::Disposition::ATTACHED_PIC);
            let timed = moving && matches!(kind, ffmpeg::media::Type::Video | ffmpeg::media::Type::Audio);
            timed.then(|| (f64::from(stream.time_base()), kind == ffmpeg::media::Type::Audio))
        };
        let bases = input.streams().map(timed).collect();
        Self { input, timeline, bases }
    }

    /// The next packet; `None` at the end.
    pub fn next(&mut self) -> Option<ffmpeg::Packet> {
        let mut packet = ffmpeg::Packet::empty();
        packet.read(&mut self.input).ok()?;
        let timed = self.bases.get(packet.stream()).copied().flatten();
        let Some((base, is_sound)) = timed.filter(|(base, _)| *base > 0.0) else { return Some(packet) };
        let us = |ticks: i64| (ticks as f64 * base * 1e6).round() as i64;
        let offset = self.timeline.offset_for(packet.stream(), packet.dts().map(us), us(packet.duration()), is_sound);
        if offset != 0 {
            let ticks = (offset as f64 / 1e6 / base).round() as i64;
            packet.set_pts(packet.pts().map(|time| time + ticks));
            packet.set_dts(packet.dts().map(|time| time + ticks));
        }
        Some(packet)
    }

    /// How many steps and leaps of the clock were bridged.
    pub fn bridged(&self) -> u64 {
        self.timeline.bridged()
    }
}
