//! A film file while it is written.

use std::path::{Path, PathBuf};

use ffmpeg_the_third as ffmpeg;

use super::encoder;
use super::errors::{failed, words};
use super::sound::{Sound, format_for_sound};
use super::storage::Storage;
use super::video_stream::VideoStream;
use crate::error::{Error, Result};
use crate::files::PartFile;
use crate::media::packets::file_address;
use crate::media::{Frame, Medium, MediumKind, Report};
use crate::sink::interface::{Encoding, Ending};

/// The formats of films, by file name extension.
const FORMATS: &[&str] = &["avi", "m4v", "mkv", "mov", "mp4", "ts", "webm"];

/// A film file while it is written.
pub struct Film {
    path: PathBuf,
    file: PartFile,
    video: VideoStream,
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
        film.video.output.write_header_with(muxer_options(live, &extension)).map_err(|e| {
            let on_disk = failed(path, e);
            if on_disk.is_full_disk() {
                return on_disk;
            }
            let silent = film.sound.as_ref().is_none_or(|sound| !sound.is_heard());
            let remedy = if silent { "" } else { "; a .mkv or .mp4 holds most kinds of sound" };
            Error::output(path, format!("FFmpeg cannot write a .{extension} like this ({}){remedy}", words(e)))
        })?;
        let written = film.video.pixel();
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
        let output = ffmpeg::format::output(file_address(&file.part)).map_err(fail)?;
        let mut video = VideoStream::add(path, output, medium, storage, (codec, encoding))?;
        let sound = Sound::open(medium, &mut video.output).map_err(fail)?;
        Ok(Self { path: path.to_owned(), file, video, sound })
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// The disk is full, or the encoder fails.
    pub fn write(&mut self, frame: &Frame) -> Result<()> {
        self.add(frame).map_err(|e| failed(&self.path, e))
    }

    fn add(&mut self, frame: &Frame) -> Result<(), ffmpeg::Error> {
        let now = self.video.encode(frame)?;
        if let Some(sound) = &mut self.sound {
            sound.copy_until(now, &mut self.video.output)?;
        }
        Ok(())
    }

    /// Completes the file and gives it its final name. If the run was cut, the sound ends with the last frame.
    ///
    /// # Errors
    /// The rest of the film cannot be written.
    pub fn finish(mut self, ending: Ending) -> Result<()> {
        self.flush(ending).map_err(|e| failed(&self.path, e))?;
        let Self { mut file, video, .. } = self;
        drop(video);
        file.complete()
    }

    fn flush(&mut self, ending: Ending) -> Result<(), ffmpeg::Error> {
        let last = self.video.end()?;
        let end = if ending == Ending::Whole { f64::INFINITY } else { last };
        if let Some(sound) = &mut self.sound {
            sound.copy_until(end, &mut self.video.output)?;
        }
        match self.video.output.write_trailer() {
            // FFmpeg's muxer of fragmented files returns the length of the trailer, which is not an error.
            Err(ffmpeg::Error::Other { errno }) if errno < 0 => Ok(()),
            other => other,
        }
    }
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
