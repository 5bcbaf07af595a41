//! A film file while it is written.

use std::path::{Path, PathBuf};

use ffmpeg_the_third as ffmpeg;

use super::convert::PixelConverter;
use super::encoder::{self, open_encoder};
use super::sound::{Sound, format_for_sound};
use super::storage::{Storage, write_display_matrix};
use crate::error::{Error, Result};
use crate::files::PartFile;
use crate::media::packets::file_address;
use crate::media::{Frame, Medium, MediumKind, Report, Time, TimeBase};
use crate::sink::interface::{Encoding, Ending};

/// The formats of films, by file name extension.
const FORMATS: &[&str] = &["avi", "m4v", "mkv", "mov", "mp4", "ts", "webm"];

/// A film file while it is written.
pub struct Film {
    path: PathBuf,
    file: PartFile,
    output: ffmpeg::format::context::Output,
    encoder: ffmpeg::encoder::video::Encoder,
    converter: PixelConverter,
    /// The time base of the encoder.
    time_base: ffmpeg::Rational,
    /// The time of the last frame; -1 before the first.
    last_ticks: i64,
    /// The duration of the last frame, in ticks.
    frame_ticks: i64,
    sound: Option<Sound>,
}

impl Film {
    /// Starts the film of a medium, with the medium's sound. What the file cannot hold goes to the report.
    ///
    /// # Errors
    /// The extension is no film format, FFmpeg lacks the encoder, or the file cannot be created.
    pub fn create(path: &Path, medium: &Medium, encoding: &Encoding, overwrite: bool, report: &Report) -> Result<Self> {
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        if !FORMATS.contains(&extension.as_str()) {
            return Err(Error::output(path, format!("its name ends in no film format ({})", FORMATS.join(", "))));
        }
        let codec = encoder::find(path, encoding)?;
        let live = medium.kind == MediumKind::Live;
        let file = if live { PartFile::in_place(path, overwrite)? } else { PartFile::new(path, overwrite)? };
        let storage = Storage::of(medium, &extension);
        let mut film = Self::start(path, file, medium, &storage, (codec, encoding))?;
        let left_out = film.sound.as_ref().map(|sound| sound.left_out.clone()).unwrap_or_default();
        film.output.write_header_with(muxer_options(live, &extension)).map_err(|e| {
            let on_disk = failed(path, e);
            if on_disk.is_full_disk() {
                return on_disk;
            }
            let silent = film.sound.as_ref().is_none_or(|sound| !sound.is_heard());
            let remedy = if silent { "" } else { "; a .mkv or .mp4 holds most kinds of sound" };
            Error::output(path, format!("FFmpeg cannot write a .{extension} like this ({}){remedy}", words(e)))
        })?;
        let written = film.encoder.format();
        left_out
            .iter()
            .chain(&encoder::odd_size_notice(written, codec, storage.width, storage.height))
            .for_each(|notice| report.tell(format!("{}: {notice}", path.display())));
        Ok(film)
    }

    /// The extension of a film that holds the sound of a medium, `preferred` if that can.
    pub fn extension_for(medium: &Medium, preferred: &'static str) -> &'static str {
        format_for_sound(medium, &[preferred, "mkv"])
    }

    fn start(
        path: &Path,
        file: PartFile,
        medium: &Medium,
        storage: &Storage,
        (codec, encoding): (ffmpeg::Codec, &Encoding),
    ) -> Result<Self> {
        ffmpeg::log::set_level(ffmpeg::log::Level::Quiet);
        let fail = |e| failed(path, e);
        let mut output = ffmpeg::format::output(file_address(&file.part)).map_err(fail)?;
        let time_base = encoder_time_base(medium, &output);
        let (encoder, frame_ticks) =
            open_encoder((codec, encoding), medium, storage, &output, time_base).map_err(|e| {
                let Storage { width, height, .. } = storage;
                let problem = format!("the encoder {} does not take {width}x{height} pictures", codec.name());
                Error::output(path, format!("{problem} ({})", words(e)))
            })?;
        add_video_stream(&mut output, &encoder, medium, storage, time_base).map_err(fail)?;
        let sound = Sound::open(medium, &mut output).map_err(fail)?;
        let converter = PixelConverter::new(encoder.format(), storage.rotate_back, medium.width, medium.height);
        Ok(Self {
            path: path.to_owned(),
            file,
            output,
            encoder,
            converter: converter.map_err(fail)?,
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
        let ticks = self.ticks_of(frame.time).max(self.last_ticks + 1);
        let duration = frame.duration.map(|duration| self.ticks_of(Time { ticks: duration, ..frame.time }));
        let before = Some(ticks - self.last_ticks).filter(|_| self.last_ticks >= 0);
        // Until the next frame says more.
        self.frame_ticks = duration.or(before).unwrap_or(self.frame_ticks).max(1);
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

    /// A time in ticks of the encoder.
    fn ticks_of(&self, time: Time) -> i64 {
        let Time { ticks, base: TimeBase { numerator, denominator } } = time;
        let (n, d) = (self.time_base.numerator(), self.time_base.denominator());
        let scaled = i128::from(ticks) * i128::from(numerator) * i128::from(d);
        let unit = i128::from(denominator.max(1)) * i128::from(n.max(1));
        i64::try_from((scaled * 2 + unit).div_euclid(unit * 2)).unwrap_or(i64::MAX)
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

/// The time base of a medium; or in an AVI, whose frame rate is constant, a frame.
fn encoder_time_base(medium: &Medium, output: &ffmpeg::format::context::Output) -> ffmpeg::Rational {
    const USUAL_RATE: (i32, i32) = (30, 1);
    let own = ffmpeg::Rational::new(medium.time_base.numerator, medium.time_base.denominator);
    if output.format().name() != "avi" {
        return own;
    }
    let (n, d) = match medium.kind {
        MediumKind::Film { frame_rate: (n, d), .. } if n > 0 && d > 0 => (n, d),
        _ => USUAL_RATE,
    };
    ffmpeg::Rational::new(d, n)
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

/// FFmpeg's reason. Its encoders and formats use the numbers of the system's errors for reasons of their own.
fn words(error: ffmpeg::Error) -> String {
    match error {
        ffmpeg::Error::Other { errno } => format!("FFmpeg's error {errno}"),
        other => other.to_string(),
    }
}

/// Whether the encoder needs more frames before the next packet.
fn wants_more(error: ffmpeg::Error) -> bool {
    let ffmpeg::Error::Other { errno } = error else { return false };
    std::io::Error::from_raw_os_error(errno).kind() == std::io::ErrorKind::WouldBlock
}

/// Whether it is a number that only the file system returns.
fn is_of_disk(errno: i32) -> bool {
    use std::io::ErrorKind;
    let kind = std::io::Error::from_raw_os_error(errno).kind();
    let of_disk = [
        ErrorKind::NotFound,
        ErrorKind::NotADirectory,
        ErrorKind::IsADirectory,
        ErrorKind::PermissionDenied,
        ErrorKind::ReadOnlyFilesystem,
        ErrorKind::StorageFull,
        ErrorKind::QuotaExceeded,
        ErrorKind::FileTooLarge,
        ErrorKind::StaleNetworkFileHandle,
    ];
    of_disk.contains(&kind)
}

fn failed(path: &Path, error: ffmpeg::Error) -> Error {
    match error {
        ffmpeg::Error::Other { errno } if is_of_disk(errno) => {
            Error::writing(path, &std::io::Error::from_raw_os_error(errno))
        }
        ffmpeg::Error::Other { .. } => Error::output(path, format!("FFmpeg failed ({})", words(error))),
        ffmpeg::Error::EncoderNotFound => {
            Error::output(path, "FFmpeg here has no encoder for it; install FFmpeg with libx264, or name a .gif")
        }
        other => Error::output(path, other),
    }
}
