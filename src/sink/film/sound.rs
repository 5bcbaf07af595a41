//! The sound of a film, copied from its input without re-encoding.

use std::path::Path;

use ffmpeg_the_third as ffmpeg;

use crate::media::Time;

/// Copies the sound of the input.
pub struct Sound {
    input: ffmpeg::format::context::Input,
    /// For each stream of the input, the index of its copy in the output.
    streams: Vec<Option<usize>>,
    /// A packet that was read too early.
    pending: Option<ffmpeg::Packet>,
    /// The time in the input, in seconds, that the times of frames count from.
    start_s: f64,
}

impl Sound {
    /// Adds the input's audio streams to the output. `start` is the time that the times of frames count from. `None` if
    /// the input is silent.
    pub fn open(
        path: &Path,
        start: Time,
        output: &mut ffmpeg::format::context::Output,
    ) -> Result<Option<Self>, ffmpeg::Error> {
        let start_s = start.as_us() as f64 / 1e6;
        let input = ffmpeg::format::input(path)?;
        let mut streams = Vec::new();
        for stream in input.streams() {
            let sound = stream.parameters().medium() == ffmpeg::media::Type::Audio;
            streams.push(if sound { Some(add_copy(output, &stream)?) } else { None });
        }
        let has_sound = streams.iter().any(Option::is_some);
        Ok(has_sound.then_some(Self { input, streams, pending: None, start_s }))
    }

    /// Copies the sound before `until_s`, in seconds from the first frame.
    pub fn copy_until(
        &mut self,
        until_s: f64,
        output: &mut ffmpeg::format::context::Output,
    ) -> Result<(), ffmpeg::Error> {
        loop {
            let mut packet = self.pending.take().unwrap_or_else(ffmpeg::Packet::empty);
            if packet.size() == 0 && packet.read(&mut self.input).is_err() {
                return Ok(());
            }
            let Some(Some(to)) = self.streams.get(packet.stream()).copied() else { continue };
            let from_base = self.input.stream(packet.stream()).ok_or(ffmpeg::Error::StreamNotFound)?.time_base();
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
            packet.set_stream(to);
            packet.set_position(-1);
            packet.write_interleaved(output)?;
        }
    }
}

/// Adds a stream for packets that are copied from another stream.
#[expect(unsafe_code, reason = "the safe interface cannot set a codec tag")]
fn add_copy(output: &mut ffmpeg::format::context::Output, from: &ffmpeg::Stream) -> Result<usize, ffmpeg::Error> {
    let codec: Option<ffmpeg::Codec> = None;
    let mut stream = output.add_stream(codec)?;
    stream.set_parameters(from.parameters());
    stream.set_time_base(from.time_base());
    // SAFETY: the pointer belongs to the parameters borrowed here. The output format may not know the input's codec
    // tag; 0 lets it choose one. The safe interface lacks this field.
    unsafe {
        (*stream.parameters_mut().as_mut_ptr()).codec_tag = 0;
    }
    Ok(stream.index())
}
