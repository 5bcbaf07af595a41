//! Frames to a film file, by FFmpeg: with their exact times, and with the sound of the film that
//! they come from.

mod convert;
mod encoder;
mod sound;
mod storage;

use std::path::{Path, PathBuf};

use ffmpeg_the_third as ffmpeg;

use self::convert::Converter;
use self::encoder::open_encoder;
use self::sound::Sound;
use self::storage::{Storage, say_turn};
use super::{Encoding, Ending};
use crate::error::{Error, Result};
use crate::frame::{Frame, Medium, MediumKind};
use crate::output::PartFile;

/// Formats that a film can be written in, by the ending of its name.
const FORMATS: &[&str] = &["avi", "m4v", "mkv", "mov", "mp4", "ts", "webm"];

pub struct Film {
    path: PathBuf,
    file: PartFile,
    output: ffmpeg::format::context::Output,
    encoder: ffmpeg::encoder::video::Encoder,
    converter: Converter,
    /// Of the frames, and of the encoder.
    time_base: ffmpeg::Rational,
    last_ticks: i64,
    /// How long a frame lasts, as far as the frames so far tell.
    frame_ticks: i64,
    sound: Option<Sound>,
}

impl Film {
    /// # Errors
    /// The name says no film format, there is no such encoder, or the file cannot be made.
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
        {
            let codec: Option<ffmpeg::Codec> = None;
            let mut stream = output.add_stream(codec)?;
            stream.copy_parameters_from_context(&encoder);
            stream.set_time_base(time_base);
            stream.set_sample_aspect_ratio(storage.sample_aspect);
            if let MediumKind::Film { frame_rate: (n, d), .. } = medium.kind
                && n > 0
                && d > 0
            {
                stream.set_avg_frame_rate(ffmpeg::Rational::new(n, d));
            }
            if let Some(turn) = storage.turn {
                say_turn(&mut stream, turn);
            }
        }
        let sound = match (&medium.path, medium.kind) {
            (Some(input), MediumKind::Film { start, .. }) => Sound::open(input, start, &mut output)?,
            _ => None,
        };
        let converter = Converter::new(encoder.format(), storage.turn_back, medium.width, medium.height)?;
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

    /// # Errors
    /// The disk is full, or the encoder fails.
    pub fn write(&mut self, frame: &Frame) -> Result<()> {
        self.encode(frame).map_err(|e| failed(&self.path, e))
    }

    fn encode(&mut self, frame: &Frame) -> Result<(), ffmpeg::Error> {
        // Times must rise, which those of a damaged film may not.
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

    /// Completes the file and gives it its name. The sound ends with the pictures of a cut film,
    /// and where it ends itself in a whole one.
    ///
    /// # Errors
    /// The end cannot be written.
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
            // FFmpeg's writer of fragments returns the trailer's length, which is no error.
            Err(ffmpeg::Error::Other { errno }) if errno < 0 => Ok(()),
            other => other,
        }
    }
}

/// A recording is written so that it plays as far as it goes, even if nobody gets to complete it.
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

fn is_invalid(errno: i32) -> bool {
    std::io::Error::from_raw_os_error(errno).kind() == std::io::ErrorKind::InvalidInput
}

/// Whether the encoder only waits for further frames.
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
