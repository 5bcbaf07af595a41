//! A film or a stream, decoded by FFmpeg, with upright frames and their exact times.

use std::path::PathBuf;
use std::sync::Arc;

use ffmpeg::codec::packet::side_data;
use ffmpeg::codec::threading;
use ffmpeg::format::context::Input;
use ffmpeg::util::frame::Video;
use ffmpeg_the_third as ffmpeg;

use super::interface::Source;
use super::open::is_address;
use crate::error::{Error, Result};
use crate::files::limits::{self, check_picture};
use crate::media::ffmpeg_filter::Filter;
use crate::media::{DisplayMatrix, Frame, Medium, MediumKind, Picture, Pool, Time, TimeBase};

/// A film or a stream.
pub struct FilmSource {
    input: Input,
    decoder: ffmpeg::decoder::Video,
    /// The index of the video stream.
    stream: usize,
    converter: Option<RgbConverter>,
    /// The FFmpeg filters that turn stored pictures upright.
    upright: &'static str,
    medium: Arc<Medium>,
    pool: Pool,
    frames: Option<u64>,
    start_ticks: i64,
    last_ticks: i64,
    index: u64,
    drained: bool,
}

/// Converts decoded frames of one size and format to upright RGB of the film's size.
struct RgbConverter {
    filter: Filter,
    width: u32,
    height: u32,
    format: ffmpeg::format::Pixel,
}

impl FilmSource {
    /// Opens a film or a stream address, to decode it on `threads` threads (0: the decoder's choice).
    ///
    /// # Errors
    /// The input is absent, FFmpeg cannot read it, or it has no pictures.
    pub fn open(input: &str, threads: usize) -> Result<Self> {
        ffmpeg::log::set_level(ffmpeg::log::Level::Fatal);
        let context = if is_address(input) { connect(input) } else { ffmpeg::format::input(input) };
        let context = context.map_err(|e| unreadable(input, e))?;
        let stream = context.streams().best(ffmpeg::media::Type::Video);
        let stream = stream.ok_or_else(|| Error::input(input, "it has no pictures; whycam explains pictures"))?;
        check_picture(input, stream.parameters().width(), stream.parameters().height())?;
        let decoder = open_decoder(input, &stream, threads)?;
        let display_matrix = read_display_matrix(&stream);
        let base = time_base(&stream);
        let start = Time { ticks: start_ticks(&context, base), base };
        let kind = medium_kind(input, &context, &stream, &decoder, start, display_matrix);
        Ok(Self {
            stream: stream.index(),
            decoder,
            converter: None,
            upright: display_matrix.map_or("", |matrix| matrix.filters().0),
            medium: Arc::new(medium(input, &stream, kind, display_matrix)),
            pool: Pool::default(),
            frames: frame_count(&context, &stream),
            start_ticks: start.ticks,
            last_ticks: 0,
            index: 0,
            drained: false,
            input: context,
        })
    }

    /// Decodes up to `limit` frames and returns their number.
    pub fn decode_only(&mut self, limit: u64) -> Result<u64> {
        let mut count = 0;
        while count < limit && self.decode()?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    fn error(&self, e: ffmpeg::Error) -> Error {
        Error::input(&self.medium.name, format!("decoding failed at frame {}: {e}", self.index)).caused_by(e)
    }

    /// Feeds the decoder until it has a frame. Damaged packets are skipped, as FFmpeg does.
    fn decode(&mut self) -> Result<Option<Video>> {
        let mut frame = Video::empty();
        loop {
            match self.decoder.receive_frame(&mut frame) {
                Ok(()) => return Ok(Some(frame)),
                Err(ffmpeg::Error::Eof) => return Ok(None),
                Err(_) if self.drained => return Ok(None),
                Err(_) => {}
            }
            let mut packet = ffmpeg::Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) if packet.stream() == self.stream => {
                    let _ = self.decoder.send_packet(&packet);
                }
                Ok(()) => {}
                Err(_) => {
                    self.drained = true;
                    self.decoder.send_eof().map_err(|e| self.error(e))?;
                }
            }
        }
    }

    fn convert(&mut self, decoded: &Video) -> Result<Picture, ffmpeg::Error> {
        let fits =
            |c: &RgbConverter| (c.width, c.height, c.format) == (decoded.width(), decoded.height(), decoded.format());
        if !self.converter.as_ref().is_some_and(fits) {
            self.converter = Some(RgbConverter::new(decoded, self.upright, &self.medium)?);
        }
        let Some(converter) = &mut self.converter else { return Err(ffmpeg::Error::Bug) };
        let rgb = converter.filter.run(decoded)?;
        let (width, height) = (self.medium.width, self.medium.height);
        let row = 3 * width as usize;
        let mut picture = self.pool.picture(width, height);
        for (to, from) in picture.chunks_exact_mut(row).zip(rgb.data(0).chunks(rgb.stride(0))) {
            to.copy_from_slice(&from[..row]);
        }
        Ok(picture)
    }
}

impl Source for FilmSource {
    fn next_frame(&mut self) -> Result<Option<Frame>> {
        let Some(decoded) = self.decode()? else {
            if self.index == 0 {
                return Err(Error::input(&self.medium.name, "not one frame could be decoded; the file is damaged"));
            }
            return Ok(None);
        };
        // The size may change within a film.
        check_picture(&self.medium.name, decoded.width(), decoded.height())?;
        let ticks = decoded.timestamp().unwrap_or(self.last_ticks + 1);
        self.last_ticks = ticks;
        let picture = self.convert(&decoded).map_err(|e| self.error(e))?;
        let time = Time { ticks: ticks - self.start_ticks, base: self.medium.time_base };
        let frame = Frame::now(&self.medium, self.index, time, picture);
        self.index += 1;
        Ok(Some(frame))
    }

    fn frame_count(&self) -> Option<u64> {
        self.frames
    }
}

impl RgbConverter {
    fn new(like: &Video, upright: &str, medium: &Medium) -> Result<Self, ffmpeg::Error> {
        let chain = format!("{upright}scale={}:{}:flags=bicubic,format=rgb24", medium.width, medium.height);
        let filter = Filter::new(like.format(), like.width(), like.height(), &chain)?;
        Ok(Self { filter, width: like.width(), height: like.height(), format: like.format() })
    }
}

fn unreadable(input: &str, error: ffmpeg::Error) -> Error {
    let what = if is_address(input) { "no stream" } else { "not a film" };
    Error::input(input, format!("{what} that FFmpeg can read: {error}")).caused_by(error)
}

/// Connects to a stream, which ends after ten seconds without data. RTSP uses TCP, which loses nothing, and UDP if the
/// server refuses TCP.
fn connect(address: &str) -> Result<Input, ffmpeg::Error> {
    let through = |transport: &str| {
        let options =
            ffmpeg::dict! { "rw_timeout" => "10000000", "timeout" => "10000000", "rtsp_transport" => transport };
        ffmpeg::format::input_with_dictionary(address, options)
    };
    let is_rtsp = address.starts_with("rtsp");
    through("tcp").or_else(|error| if is_rtsp { through("udp") } else { Err(error) })
}

fn open_decoder(input: &str, stream: &ffmpeg::Stream, threads: usize) -> Result<ffmpeg::decoder::Video> {
    let failed = |e: ffmpeg::Error| unreadable(input, e);
    let mut codec = ffmpeg::codec::Context::from_parameters(stream.parameters()).map_err(failed)?;
    // Frame threads delay frames, which a live stream must not.
    let kind = if is_address(input) { threading::Type::Slice } else { threading::Type::Frame };
    codec.set_threading(threading::Config { count: threads, ..threading::Config::kind(kind) });
    let decoder = ffmpeg::codec::decoder::find(codec.id()).ok_or_else(|| failed(ffmpeg::Error::DecoderNotFound))?;
    let max_pixels = limits::PIXELS.to_string();
    let opened = codec.decoder().open_as_with(decoder, ffmpeg::dict! { "max_pixels" => max_pixels.as_str() });
    opened.and_then(ffmpeg::decoder::Opened::video).map_err(failed)
}

fn time_base(stream: &ffmpeg::Stream) -> TimeBase {
    TimeBase { numerator: stream.time_base().numerator(), denominator: stream.time_base().denominator() }
}

/// A film, or a live medium for a stream without an end.
fn medium_kind(
    input: &str,
    context: &Input,
    stream: &ffmpeg::Stream,
    decoder: &ffmpeg::decoder::Video,
    start: Time,
    display_matrix: Option<DisplayMatrix>,
) -> MediumKind {
    if is_address(input) && context.duration() <= 0 {
        return MediumKind::Live;
    }
    let (rate, aspect) = (stream.avg_frame_rate(), decoder.aspect_ratio());
    MediumKind::Film {
        frame_rate: (rate.numerator(), rate.denominator()),
        sample_aspect: (aspect.numerator(), aspect.denominator()),
        start,
        display_matrix,
    }
}

/// The medium of upright pictures.
fn medium(input: &str, stream: &ffmpeg::Stream, kind: MediumKind, matrix: Option<DisplayMatrix>) -> Medium {
    let (mut width, mut height) = (stream.parameters().width(), stream.parameters().height());
    if matrix.is_some_and(|matrix| matrix.swaps()) {
        (width, height) = (height, width);
    }
    Medium {
        name: input.to_owned(),
        path: (!is_address(input)).then(|| PathBuf::from(input)),
        kind,
        width,
        height,
        time_base: time_base(stream),
    }
}

/// The number of frames, as the container says or from its duration.
fn frame_count(context: &Input, stream: &ffmpeg::Stream) -> Option<u64> {
    u64::try_from(stream.frames()).ok().filter(|n| *n > 0).or_else(|| {
        let rate = stream.avg_frame_rate();
        let seconds = context.duration() as f64 / f64::from(ffmpeg::ffi::AV_TIME_BASE);
        let frames = seconds * f64::from(rate.numerator()) / f64::from(rate.denominator());
        (frames.is_finite() && frames >= 1.0).then_some(frames.round() as u64)
    })
}

/// When the first of a film's streams begins, in ticks of `base`.
fn start_ticks(context: &Input, base: TimeBase) -> i64 {
    let started = context.streams().filter(|s| s.start_time() != ffmpeg::ffi::AV_NOPTS_VALUE);
    let seconds = started.map(|s| s.start_time() as f64 * f64::from(s.time_base())).reduce(f64::min);
    let tick = f64::from(base.numerator) / f64::from(base.denominator);
    (seconds.unwrap_or(0.0) / tick).round() as i64
}

fn read_display_matrix(stream: &ffmpeg::Stream) -> Option<DisplayMatrix> {
    let data = stream.side_data().find(|d| d.kind() == side_data::Type::DisplayMatrix)?;
    DisplayMatrix::from_bytes(data.data())
}
