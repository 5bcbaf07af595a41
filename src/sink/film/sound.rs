//! The sound of a film, copied from its input without re-encoding.

use std::collections::HashMap;

use ffmpeg::format::context::Output;
use ffmpeg_the_third as ffmpeg;

use crate::media::packets::{Packets, open_address};
use crate::media::{Medium, MediumKind};

/// Copies the sound of the input.
pub struct Sound {
    packets: Packets,
    /// For each stream of the input, the index of its copy in the output.
    streams: Vec<Option<usize>>,
    /// A packet that was read too early.
    pending: Option<ffmpeg::Packet>,
    /// For each stream of the output, the time of the last packet.
    last: HashMap<usize, i64>,
    /// The time in the input, in seconds, that the times of frames count from.
    start_s: f64,
    /// What is left out of the input, for the user.
    pub left_out: Vec<String>,
}

/// The packets of a medium that may have sound, and its start in seconds; `None` for another medium.
fn packets_of(medium: &Medium) -> Option<(Packets, f64)> {
    let (Some(address), MediumKind::Film { start, .. }) = (&medium.address, medium.kind) else { return None };
    let input = open_address(address).ok()?;
    Some((Packets::new(input), start.as_us() as f64 / 1e6))
}

impl Sound {
    /// Adds those audio streams of a medium to the output that its format can hold. `None` if the medium is silent.
    pub fn open(medium: &Medium, output: &mut Output) -> Result<Option<Self>, ffmpeg::Error> {
        let Some((packets, start_s)) = packets_of(medium) else { return Ok(None) };
        let (mut streams, mut left_out, mut texts) = (Vec::new(), Vec::new(), 0);
        let format = output.format().name();
        for (number, stream) in packets.input.streams().enumerate() {
            let parameters = stream.parameters();
            let is_sound = parameters.medium() == ffmpeg::media::Type::Audio;
            texts += usize::from(parameters.medium() == ffmpeg::media::Type::Subtitle);
            let held = is_sound && holds(output.format(), parameters.id());
            streams.push(if held { Some(add_copy(output, &stream)?) } else { None });
            if is_sound && !held {
                left_out.push(match parameters.id() {
                    ffmpeg::codec::Id::None => {
                        format!("its sound track {number} is left out: FFmpeg knows no such codec")
                    }
                    codec => {
                        format!("its sound track {number} ({}) is left out: {format} cannot hold it", codec.name())
                    }
                });
            }
        }
        if texts > 0 {
            left_out.push(format!("its subtitles ({texts}) are left out"));
        }
        Ok(Some(Self { packets, streams, pending: None, last: HashMap::new(), start_s, left_out }))
    }

    /// Whether there is any sound to copy.
    pub fn is_heard(&self) -> bool {
        self.streams.iter().any(Option::is_some)
    }

    /// Muxers take only packets whose times rise; those of a damaged film may not.
    fn raise(&mut self, packet: &mut ffmpeg::Packet, to: usize) {
        let Some(decoded) = packet.dts() else { return };
        let least = self.last.get(&to).map_or(decoded, |last| last + 1);
        let raised = decoded.max(least);
        packet.set_dts(Some(raised));
        packet.set_pts(packet.pts().map(|shown| shown.max(raised)));
        self.last.insert(to, raised);
    }

    /// Copies the sound before `until_s`, in seconds from the first frame.
    pub fn copy_until(&mut self, until_s: f64, output: &mut Output) -> Result<(), ffmpeg::Error> {
        if !self.is_heard() {
            return Ok(());
        }
        loop {
            let Some(mut packet) = self.pending.take().or_else(|| self.packets.next()) else { return Ok(()) };
            let Some(Some(to)) = self.streams.get(packet.stream()).copied() else { continue };
            let stream = self.packets.input.stream(packet.stream()).ok_or(ffmpeg::Error::StreamNotFound)?;
            let from_base = stream.time_base();
            let at_s = packet.pts().or(packet.dts()).unwrap_or(0) as f64 * f64::from(from_base) - self.start_s;
            if at_s >= until_s {
                self.pending = Some(packet);
                return Ok(());
            }
            let shift = (self.start_s / f64::from(from_base)).round() as i64;
            packet.set_pts(packet.pts().map(|t| t - shift));
            packet.set_dts(packet.dts().map(|t| t - shift));
            let to_base = output.stream(to).ok_or(ffmpeg::Error::StreamNotFound)?.time_base();
            packet.rescale_ts(from_base, to_base);
            self.raise(&mut packet, to);
            packet.set_stream(to);
            packet.set_position(-1);
            packet.write_interleaved(output)?;
        }
    }
}

/// The extension of the first film format of these that holds all sound of a medium whose codecs FFmpeg knows; else the
/// first.
pub fn format_for_sound<'e>(medium: &Medium, extensions: &[&'e str]) -> &'e str {
    let codecs: Vec<ffmpeg::codec::Id> = packets_of(medium).map_or_else(Vec::new, |(packets, _)| {
        let sound = packets.input.streams().filter(|s| s.parameters().medium() == ffmpeg::media::Type::Audio);
        sound.map(|stream| stream.parameters().id()).filter(|id| *id != ffmpeg::codec::Id::None).collect()
    });
    let holds_all = |extension: &&&str| {
        let muxers = ffmpeg::format::format::list_muxers();
        let mut of_extension = muxers.filter(|muxer| muxer.extensions().contains(*extension));
        of_extension.next().is_some_and(|muxer| codecs.iter().all(|codec| holds(muxer, *codec)))
    };
    extensions.iter().find(holds_all).or(extensions.first()).copied().unwrap_or_default()
}

/// Whether FFmpeg writes a codec into a file format, and players find it there.
#[expect(unsafe_code, reason = "the safe interface lacks this function")]
fn holds(format: ffmpeg::format::format::Output, codec: ffmpeg::codec::Id) -> bool {
    use ffmpeg::codec::Id;
    /// The sound that has a type in a transport stream; FFmpeg writes all other kinds as data.
    const OF_MPEGTS: &[Id] = &[Id::AAC, Id::AC3, Id::DTS, Id::EAC3, Id::MP1, Id::MP2, Id::MP3, Id::OPUS, Id::TRUEHD];
    /// What FFmpeg puts into these only as an experiment, if at all.
    const NOT_OF_MP4: &[Id] = &[Id::FLAC, Id::TRUEHD];
    const NOT_OF_MOV: &[Id] = &[Id::FLAC, Id::OPUS, Id::TRUEHD, Id::VORBIS];
    /// Codecs that a Matroska file holds in the form of an .avi count as held.
    const UNOFFICIAL: std::ffi::c_int = -1;
    match format.name() {
        "mpegts" => return OF_MPEGTS.contains(&codec),
        "mp4" if NOT_OF_MP4.contains(&codec) => return false,
        "mov" if NOT_OF_MOV.contains(&codec) => return false,
        _ => {}
    }
    let strictness = if format.name() == "matroska" { UNOFFICIAL } else { 0 };
    // SAFETY: the pointer is to a static description of the format. The safe interface lacks this function.
    let answer = unsafe { ffmpeg::ffi::avformat_query_codec(format.as_ptr(), codec.into(), strictness) };
    // A negative number says that the format does not know.
    codec != Id::None && answer != 0
}

/// Adds a stream for packets that are copied from another stream, with its language and title.
#[expect(unsafe_code, reason = "the safe interface cannot set a codec tag")]
fn add_copy(output: &mut Output, from: &ffmpeg::Stream) -> Result<usize, ffmpeg::Error> {
    let codec: Option<ffmpeg::Codec> = None;
    let mut stream = output.add_stream(codec)?;
    stream.set_parameters(from.parameters());
    stream.set_time_base(from.time_base());
    for key in ["language", "title"] {
        if let Some(value) = from.metadata().get(key) {
            stream.metadata_mut().set(key, value);
        }
    }
    // SAFETY: the pointers belong to what is borrowed here. The output format may not know the input's codec tag; 0 lets
    // it choose one. The safe interface lacks these fields.
    unsafe {
        (*stream.parameters_mut().as_mut_ptr()).codec_tag = 0;
        (*stream.as_mut_ptr()).disposition = from.disposition().bits();
    }
    Ok(stream.index())
}
