//! A film or a stream.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::sync::Arc;

use ffmpeg::FieldOrder;
use ffmpeg::format::context::Input as FormatInput;
use ffmpeg::util::frame::{self, Video};
use ffmpeg_the_third as ffmpeg;

use super::connect::{open_decoder, open_input, unreadable};
use super::rgb::RgbConverter;
use crate::error::{Error, Result};
use crate::files::limits::check_picture;
use crate::media::colour::transfer_notice;
use crate::media::packets::{Packets, file_address};
use crate::media::{DisplayMatrix, Frame, Medium, MediumKind, Report, Time, TimeBase};
use crate::source::inputs::Input;
use crate::source::interface::Source;

/// A film or a stream.
pub struct FilmSource {
    packets: Packets,
    decoder: ffmpeg::decoder::Video,
    /// The index of the video stream.
    stream: usize,
    /// The first frame, which was decoded on opening.
    first: Option<Video>,
    converter: RgbConverter,
    medium: Arc<Medium>,
    frames: Option<u64>,
    start_ticks: i64,
    last_ticks: Option<i64>,
    /// Ticks from one frame to the next, for frames without a time: those before it, or at first the stream's rate.
    frame_ticks: i64,
    /// The times and durations of packets whose frames are still to come, in ticks.
    durations: VecDeque<(i64, i64)>,
    damaged_packets: u64,
    index: u64,
    drained: bool,
    report: Report,
}

impl FilmSource {
    /// Opens a film or a stream address, to decode it on `threads` threads (0: the decoder's choice).
    ///
    /// # Errors
    /// The input is absent, FFmpeg cannot read it, or it has no pictures.
    pub fn open(input: &Input, threads: usize, report: &Report) -> Result<Self> {
        let (name, is_stream) = (input.name.as_str(), input.path.is_none());
        let address = input.path.as_ref().map_or_else(|| OsString::from(name), |path| file_address(path));
        let context = open_input(name, &address, is_stream)?;
        let stream = context.streams().best(ffmpeg::media::Type::Video);
        let stream = stream.ok_or_else(|| Error::input(name, "it has no pictures; whycam explains pictures"))?;
        check_picture(name, stream.parameters().width(), stream.parameters().height())?;
        let decoder = open_decoder(&stream, threads, is_stream).map_err(|e| unreadable(name, is_stream, e))?;
        let base = time_base(&stream);
        let start = Time { ticks: start_ticks(&context, base), base };
        let (frames, frame_ticks) = (frame_count(&context, &stream), frame_ticks(&stream, &decoder));
        let number = stream.index();
        let display_matrix = read_display_matrix(&stream);
        let order = stream.parameters().field_order();
        let interlaced = !matches!(order, FieldOrder::Unknown | FieldOrder::Progressive);
        let is_live = is_stream && context.duration() <= 0;
        let medium = Medium {
            name: name.to_owned(),
            path: input.path.clone(),
            address: Some(address),
            kind: if is_live { MediumKind::Live } else { film_kind(&stream, &decoder, start, display_matrix) },
            width: stream.parameters().width(),
            height: stream.parameters().height(),
            time_base: base,
        };
        let mut film = Self {
            packets: Packets::new(context),
            decoder,
            stream: number,
            first: None,
            converter: RgbConverter::new("", medium.width, medium.height),
            medium: Arc::new(medium),
            frames,
            start_ticks: start.ticks,
            last_ticks: None,
            frame_ticks,
            durations: VecDeque::new(),
            damaged_packets: 0,
            index: 0,
            drained: false,
            report: report.clone(),
        };
        film.read_first(display_matrix, interlaced)?;
        Ok(film)
    }

    /// Decodes the first frame, which may say more than the container: how it is turned, and what its colours are.
    fn read_first(&mut self, of_stream: Option<DisplayMatrix>, interlaced: bool) -> Result<()> {
        self.first = self.decode()?;
        let first = self.first.as_ref();
        let of_frame = || {
            let data = first?.side_data(frame::side_data::Type::DisplayMatrix)?;
            DisplayMatrix::from_bytes(data.data())
        };
        let matrix = of_stream.or_else(of_frame);
        let notices = [
            first.and_then(|first| transfer_notice(first.color_transfer_characteristic())),
            interlaced.then_some(
                "it is interlaced, and both fields are explained as one picture; a deinterlaced copy gives clearer maps",
            ),
        ];
        let medium = Arc::make_mut(&mut self.medium);
        if let MediumKind::Film { display_matrix, .. } = &mut medium.kind {
            *display_matrix = matrix;
        }
        if matrix.is_some_and(|matrix| matrix.swaps()) {
            std::mem::swap(&mut medium.width, &mut medium.height);
        }
        self.converter = RgbConverter::new(matrix.map_or("", |m| m.filters().0), medium.width, medium.height);
        for notice in notices.into_iter().flatten() {
            self.report.tell(format!("{}: {notice}", self.medium.name));
        }
        Ok(())
    }

    /// Whether FFmpeg reads the file as one picture.
    pub fn is_picture(&self) -> bool {
        let format = self.packets.input.format().name();
        // `jpeg_pipe` reads any number of pictures in a row.
        format == "image2" || (format.ends_with("_pipe") && format != "jpeg_pipe")
    }

    /// Decodes up to `limit` frames and returns their number.
    pub fn decode_only(&mut self, limit: u64) -> Result<u64> {
        let mut count = 0;
        while count < limit && self.next_decoded()?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    fn next_decoded(&mut self) -> Result<Option<Video>> {
        match self.first.take() {
            Some(first) => Ok(Some(first)),
            None => self.decode(),
        }
    }

    fn error(&self, e: ffmpeg::Error) -> Error {
        Error::input(&self.medium.name, format!("decoding failed at frame {}: {e}", self.index)).caused_by(e)
    }

    /// Feeds the decoder until it has a frame. Damaged packets are skipped, as FFmpeg does.
    fn decode(&mut self) -> Result<Option<Video>> {
        /// More than a decoder keeps back.
        const MOST_WAITING: usize = 256;
        let mut frame = Video::empty();
        loop {
            match self.decoder.receive_frame(&mut frame) {
                Ok(()) => return Ok(Some(frame)),
                Err(ffmpeg::Error::Eof) => return Ok(None),
                Err(_) if self.drained => return Ok(None),
                Err(_) => {}
            }
            match self.packets.next() {
                Some(packet) if packet.stream() == self.stream => {
                    if let Some(time) = packet.pts().filter(|_| packet.duration() > 0) {
                        self.durations.push_back((time, packet.duration()));
                        self.durations.drain(..self.durations.len().saturating_sub(MOST_WAITING));
                    }
                    if self.decoder.send_packet(&packet).is_err() {
                        self.damaged_packets += 1;
                        self.report.note_damage();
                    }
                }
                Some(_) => {}
                None => {
                    self.drained = true;
                    self.decoder.send_eof().map_err(|e| self.error(e))?;
                }
            }
        }
    }

    /// The time of a frame. Times rise; a frame without one follows at the film's rate.
    fn time_of(&mut self, decoded: &Video) -> (i64, Option<i64>) {
        let own = decoded.timestamp();
        let ticks = match (own, self.last_ticks) {
            (Some(ticks), Some(last)) => {
                let rising = ticks.max(last + 1);
                self.frame_ticks = rising - last;
                rising
            }
            (Some(ticks), None) => ticks,
            (None, Some(last)) => last + self.frame_ticks,
            (None, None) => self.start_ticks,
        };
        self.last_ticks = Some(ticks);
        let known = self.durations.iter().position(|(time, _)| Some(*time) == own);
        let duration = known.and_then(|at| self.durations.remove(at)).map(|(_, duration)| duration);
        (ticks - self.start_ticks, Some(duration.unwrap_or(self.frame_ticks)))
    }

    fn tell_end(&self) {
        let name = &self.medium.name;
        if self.damaged_packets > 0 {
            let packets = if self.damaged_packets == 1 { "packet was" } else { "packets were" };
            self.report.tell(format!("{name}: {} damaged {packets} skipped", self.damaged_packets));
        }
        if self.packets.bridged() > 0 {
            let often = match self.packets.bridged() {
                1 => "once".to_owned(),
                count => format!("{count} times"),
            };
            self.report.tell(format!("{name}: its clock jumps {often}; its times were made continuous"));
        }
    }
}

impl Source for FilmSource {
    fn next_frame(&mut self) -> Result<Option<Frame>> {
        let Some(decoded) = self.next_decoded()? else {
            if self.index == 0 {
                return Err(Error::input(&self.medium.name, "not one frame could be decoded; the file is damaged"));
            }
            self.tell_end();
            return Ok(None);
        };
        // The size may change within a film.
        check_picture(&self.medium.name, decoded.width(), decoded.height())?;
        let (ticks, duration) = self.time_of(&decoded);
        let picture = self.converter.run(&decoded).map_err(|e| self.error(e))?;
        let time = Time { ticks, base: self.medium.time_base };
        let frame = Frame { duration, ..Frame::now(&self.medium, self.index, time, picture) };
        self.index += 1;
        Ok(Some(frame))
    }

    fn frame_count(&self) -> Option<u64> {
        self.frames
    }

    fn is_endless(&self) -> bool {
        self.medium.kind == MediumKind::Live
    }
}

fn time_base(stream: &ffmpeg::Stream) -> TimeBase {
    TimeBase { numerator: stream.time_base().numerator(), denominator: stream.time_base().denominator() }
}

fn film_kind(
    stream: &ffmpeg::Stream,
    decoder: &ffmpeg::decoder::Video,
    start: Time,
    display_matrix: Option<DisplayMatrix>,
) -> MediumKind {
    let (rate, aspect) = (frame_rate(stream, decoder), decoder.aspect_ratio());
    MediumKind::Film {
        frame_rate: (rate.numerator(), rate.denominator()),
        sample_aspect: (aspect.numerator(), aspect.denominator()),
        start,
        display_matrix,
    }
}

/// The frames a second. A stream without times has what its frames state; FFmpeg 7 calls it 25 whatever they state.
fn frame_rate(stream: &ffmpeg::Stream, decoder: &ffmpeg::decoder::Video) -> ffmpeg::Rational {
    let timed = stream.start_time() != ffmpeg::ffi::AV_NOPTS_VALUE;
    let stated = decoder.frame_rate().filter(|rate| !timed && rate.numerator() > 0 && rate.denominator() > 0);
    stated.unwrap_or_else(|| stream.avg_frame_rate())
}

/// Ticks from one frame to the next, at the stream's rate or at 25 a second.
fn frame_ticks(stream: &ffmpeg::Stream, decoder: &ffmpeg::decoder::Video) -> i64 {
    let rates = [frame_rate(stream, decoder), stream.rate()].map(f64::from);
    let rate = rates.into_iter().find(|rate| rate.is_finite() && *rate > 0.0).unwrap_or(25.0);
    ((1.0 / rate / f64::from(stream.time_base())).round() as i64).max(1)
}

/// The number of frames, as the container says or from its duration.
fn frame_count(context: &FormatInput, stream: &ffmpeg::Stream) -> Option<u64> {
    u64::try_from(stream.frames()).ok().filter(|n| *n > 0).or_else(|| {
        let rate = stream.avg_frame_rate();
        let seconds = context.duration() as f64 / f64::from(ffmpeg::ffi::AV_TIME_BASE);
        let frames = seconds * f64::from(rate.numerator()) / f64::from(rate.denominator());
        (frames.is_finite() && frames >= 1.0).then_some(frames.round() as u64)
    })
}

/// When the first of a film's streams begins, in ticks of `base`.
fn start_ticks(context: &FormatInput, base: TimeBase) -> i64 {
    let started = context.streams().filter(|s| s.start_time() != ffmpeg::ffi::AV_NOPTS_VALUE);
    let seconds = started.map(|s| s.start_time() as f64 * f64::from(s.time_base())).reduce(f64::min);
    let tick = f64::from(base.numerator) / f64::from(base.denominator);
    (seconds.unwrap_or(0.0) / tick).round() as i64
}

#[cfg(not(ffmpeg_8))]
fn read_display_matrix(stream: &ffmpeg::Stream) -> Option<DisplayMatrix> {
    let data = stream.side_data().find(|d| d.kind() == ffmpeg::codec::packet::side_data::Type::DisplayMatrix)?;
    DisplayMatrix::from_bytes(data.data())
}

/// FFmpeg 8 hands it on with each frame.
#[cfg(ffmpeg_8)]
fn read_display_matrix(_: &ffmpeg::Stream) -> Option<DisplayMatrix> {
    None
}
