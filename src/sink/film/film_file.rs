//! A film file while it is written.

use std::path::{Path, PathBuf};

use ffmpeg_the_third as ffmpeg;

use super::convert::YuvConverter;
use super::encoder::{self, open_encoder};
use super::sound::Sound;
use super::storage::{Storage, write_display_matrix};
use crate::error::{Error, Result};
use crate::files::PartFile;
use crate::media::{Frame, Medium, MediumKind};
use crate::sink::interface::{Encoding, Ending};

/// The formats of films, by file name extension.
const FORMATS: &[&str] = &["avi", "m4v", "mkv", "mov", "mp4", "ts", "webm"];

/// A film file while it is written.
pub struct Film {
    path: PathBuf,
    file: PartFile,
    output: ffmpeg::format::context::Output,
    encoder: ffmpeg::encoder::video::Encoder,
    converter: YuvConverter,
    /// The time base of frames and encoder.
    time_base: ffmpeg::Rational,
    /// The time of the last frame; -1 before the first.
    last_ticks: i64,
    /// The duration of the last frame, in ticks.
    frame_ticks: i64,
    sound: Option<Sound>,
}

impl Film {
    /// Starts the film of a medium, with the medium's sound.
    ///
    /// # Errors
    /// The extension is no film format, FFmpeg lacks the encoder, or the file cannot be created.
    pub fn create(path: &Path, medium: &Medium, encoding: &Encoding, overwrite: bool) -> Result<Self> {
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        if !FORMATS.contains(&extension.as_str()) {
            return Err(Error::output(path, format!("its name ends in no film format ({})", FORMATS.join(", "))));
        }
        let codec = encoder::find(path, encoding)?;
        let live = medium.kind == MediumKind::Live;
        let file = if live { PartFile::in_place(path, overwrite)? } else { PartFile::new(path, overwrite)? };
        let mut film = Self::start(path, file, medium, &Storage::of(medium, &extension), (codec, encoding))
            .map_err(|e| failed(path, e))?;
        let silent = film.sound.is_none();
        film.output.write_header_with(muxer_options(live, &extension)).map(drop).map_err(|e| match e {
            ffmpeg::Error::Other { errno } if is_invalid(errno) && !silent => {
                Error::output(path, format!("a .{extension} cannot hold the sound of the input; name a .mkv or .mp4"))
            }
            other => failed(path, other),
        })?;
        Ok(film)
    }

    fn start(
        path: &Path,
        file: PartFile,
        medium: &Medium,
        storage: &Storage,
        (codec, encoding): (ffmpeg::Codec, &Encoding),
    ) -> Result<Self, ffmpeg::Error> {
        ffmpeg::log::set_level(ffmpeg::log::Level::Fatal);
        let mut output = ffmpeg::format::output(&file.part)?;
        let time_base = ffmpeg::Rational::new(medium.time_base.numerator, medium.time_base.denominator);
        let (encoder, frame_ticks) = open_encoder((codec, encoding), medium, storage, &output, time_base)?;
        add_video_stream(&mut output, &encoder, medium, storage, time_base)?;
        let sound = match (&medium.path, medium.kind) {
            (Some(input), MediumKind::Film { start, .. }) => Sound::open(input, start, &mut output)?,
            _ => None,
        };
        let converter = YuvConverter::new(encoder.format(), storage.rotate_back, medium.width, medium.height)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            output,
            encoder,
            converter,
            time_base,
            last_ticks: -1,
            frame_ticks,
            sound,
        })
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// The disk is full, or the encoder fails.
    pub fn write(&mut self, frame: &Frame) -> Result<()> {
        self.encode(frame).map_err(|e| failed(&self.path, e))
    }

    fn encode(&mut self, frame: &Frame) -> Result<(), ffmpeg::Error> {
        // Timestamps must increase; those of a damaged film may not.
        let ticks = frame.time.ticks.max(self.last_ticks + 1);
        if self.last_ticks >= 0 {
            self.frame_ticks = ticks - self.last_ticks;
        }
        self.last_ticks = ticks;
        let converted = self.converter.run(&frame.picture)?;
        converted.set_pts(Some(ticks));
        converted.set_kind(ffmpeg::picture::Type::None);
        self.encoder.send_frame(converted)?;
        self.take_packets()?;
        let now = f64::from(self.time_base) * ticks as f64;
        if let Some(sound) = &mut self.sound {
            sound.copy_until(now, &mut self.output)?;
        }
        Ok(())
    }

    fn take_packets(&mut self) -> Result<(), ffmpeg::Error> {
        let stream_base = self.output.stream(0).ok_or(ffmpeg::Error::StreamNotFound)?.time_base();
        let mut packet = ffmpeg::Packet::empty();
        loop {
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => {}
                Err(ffmpeg::Error::Eof) => return Ok(()),
                Err(e) if wants_more(e) => return Ok(()),
                Err(e) => return Err(e),
            }
            packet.set_stream(0);
            if packet.duration() == 0 {
                packet.set_duration(self.frame_ticks);
            }
            packet.rescale_ts(self.time_base, stream_base);
            packet.write_interleaved(&mut self.output)?;
        }
    }

    /// Completes the file and gives it its final name. If the run was cut, the sound ends with the last frame.
    ///
    /// # Errors
    /// The rest of the film cannot be written.
    pub fn finish(mut self, ending: Ending) -> Result<()> {
        self.flush(ending).map_err(|e| failed(&self.path, e))?;
        let Self { mut file, output, .. } = self;
        drop(output);
        file.complete()
    }

    fn flush(&mut self, ending: Ending) -> Result<(), ffmpeg::Error> {
        self.encoder.send_eof()?;
        self.take_packets()?;
        let end = match ending {
            Ending::Whole => f64::INFINITY,
            Ending::Cut => f64::from(self.time_base) * (self.last_ticks + self.frame_ticks) as f64,
        };
        if let Some(sound) = &mut self.sound {
            sound.copy_until(end, &mut self.output)?;
        }
        match self.output.write_trailer() {
            // FFmpeg's muxer of fragmented files returns the length of the trailer, which is not an error.
            Err(ffmpeg::Error::Other { errno }) if errno < 0 => Ok(()),
            other => other,
        }
    }
}

fn add_video_stream(
    output: &mut ffmpeg::format::context::Output,
    encoder: &ffmpeg::encoder::video::Encoder,
    medium: &Medium,
    storage: &Storage,
    time_base: ffmpeg::Rational,
) -> Result<(), ffmpeg::Error> {
    let codec: Option<ffmpeg::Codec> = None;
    let mut stream = output.add_stream(codec)?;
    stream.copy_parameters_from_context(encoder);
    stream.set_time_base(time_base);
    stream.set_sample_aspect_ratio(storage.sample_aspect);
    if let MediumKind::Film { frame_rate: (n, d), .. } = medium.kind
        && n > 0
        && d > 0
    {
        stream.set_avg_frame_rate(ffmpeg::Rational::new(n, d));
    }
    if let Some(display_matrix) = storage.display_matrix {
        write_display_matrix(&mut stream, display_matrix);
    }
    Ok(())
}

/// The options of the file format. A live recording is written in fragments, so that it plays even if it is never
/// completed.
fn muxer_options(live: bool, extension: &str) -> ffmpeg::Dictionary {
    match extension {
        "mp4" | "m4v" | "mov" if live => ffmpeg::dict! {
            "movflags" => "empty_moov+default_base_moof",
            "frag_duration" => "250000",
            "flush_packets" => "1"
        },
        _ if live => ffmpeg::dict! { "flush_packets" => "1", "cluster_time_limit" => "250" },
        _ => ffmpeg::Dictionary::new(),
    }
}

/// Whether the file format rejected a parameter.
fn is_invalid(errno: i32) -> bool {
    std::io::Error::from_raw_os_error(errno).kind() == std::io::ErrorKind::InvalidInput
}

/// Whether the encoder needs more frames before the next packet.
fn wants_more(error: ffmpeg::Error) -> bool {
    let ffmpeg::Error::Other { errno } = error else { return false };
    std::io::Error::from_raw_os_error(errno).kind() == std::io::ErrorKind::WouldBlock
}

fn failed(path: &Path, error: ffmpeg::Error) -> Error {
    match error {
        ffmpeg::Error::Other { errno } => Error::writing(path, &std::io::Error::from_raw_os_error(errno)),
        ffmpeg::Error::EncoderNotFound => {
            Error::output(path, "FFmpeg here has no encoder for it; install FFmpeg with libx264, or name a .gif")
        }
        other => Error::output(path, other),
    }
}
