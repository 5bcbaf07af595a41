//! A film or a stream, decoded by FFmpeg, upright and with each frame's exact time.

use std::path::PathBuf;
use std::sync::Arc;

use ffmpeg::codec::packet::side_data;
use ffmpeg::codec::threading;
use ffmpeg::util::frame::Video;
use ffmpeg_the_third as ffmpeg;

use super::{Source, is_address};
use crate::bounds::{self, check_picture};
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::frame::{Frame, Medium, MediumKind, Time, TimeBase};
use crate::picture::{Picture, Pool};
use crate::turn::Turn;

pub struct FilmSource {
    input: ffmpeg::format::context::Input,
    decoder: ffmpeg::decoder::Video,
    stream: usize,
    converter: Option<Converter>,
    upright: &'static str,
    medium: Arc<Medium>,
    pool: Pool,
    frames: Option<u64>,
    start_ticks: i64,
    last_ticks: i64,
    index: u64,
    drained: bool,
}

/// Turns decoded frames of one size and format into upright RGB of the film's size.
struct Converter {
    filter: Filter,
    width: u32,
    height: u32,
    format: ffmpeg::format::Pixel,
}

impl FilmSource {
    /// # Errors
    /// The input is absent, no film, or has no pictures.
    pub fn open(input: &str, threads: usize) -> Result<Self> {
        ffmpeg::log::set_level(ffmpeg::log::Level::Fatal);
        let what = if is_address(input) { "no stream" } else { "not a film" };
        let unreadable = |e: ffmpeg::Error| Error::input(input, format!("{what} that FFmpeg can read: {e}"));
        let context = if is_address(input) { connect(input) } else { ffmpeg::format::input(input) };
        let context = context.map_err(unreadable)?;
        let stream = context.streams().best(ffmpeg::media::Type::Video);
        let stream = stream.ok_or_else(|| Error::input(input, "it has no pictures; whycam explains what is seen"))?;
        let (mut width, mut height) = (stream.parameters().width(), stream.parameters().height());
        check_picture(input, width, height)?;
        let mut codec = ffmpeg::codec::Context::from_parameters(stream.parameters()).map_err(unreadable)?;
        // Decoding several frames at once holds them back, which a stream to look at live must not do.
        let kind = if is_address(input) { threading::Type::Slice } else { threading::Type::Frame };
        codec.set_threading(threading::Config { count: threads, ..threading::Config::kind(kind) });
        let kind =
            ffmpeg::codec::decoder::find(codec.id()).ok_or_else(|| unreadable(ffmpeg::Error::DecoderNotFound))?;
        let most = bounds::PIXELS.to_string();
        let decoder = codec.decoder().open_as_with(kind, ffmpeg::dict! { "max_pixels" => most.as_str() });
        let decoder = decoder.and_then(ffmpeg_the_third::decoder::Opened::video).map_err(unreadable)?;
        let turn = turn_of(&stream);
        let upright = turn.map_or("", |turn| turn.filters().0);
        if turn.is_some_and(|turn| turn.swaps()) {
            (width, height) = (height, width);
        }
        let base =
            TimeBase { numerator: stream.time_base().numerator(), denominator: stream.time_base().denominator() };
        let start = Time { ticks: start_ticks(&context, base), base };
        let rate = stream.avg_frame_rate();
        let aspect = decoder.aspect_ratio();
        let live = is_address(input) && context.duration() <= 0;
        let kind = if live {
            MediumKind::Live
        } else {
            MediumKind::Film {
                frame_rate: (rate.numerator(), rate.denominator()),
                sample_aspect: (aspect.numerator(), aspect.denominator()),
                start,
                turn,
            }
        };
        let frames = u64::try_from(stream.frames()).ok().filter(|n| *n > 0).or_else(|| {
            let seconds = context.duration() as f64 / f64::from(ffmpeg::ffi::AV_TIME_BASE);
            let frames = seconds * f64::from(rate.numerator()) / f64::from(rate.denominator());
            (frames.is_finite() && frames >= 1.0).then_some(frames.round() as u64)
        });
        let medium = Medium {
            name: input.to_owned(),
            path: (!is_address(input)).then(|| PathBuf::from(input)),
            kind,
            width,
            height,
            time_base: base,
        };
        Ok(Self {
            stream: stream.index(),
            decoder,
            converter: None,
            upright,
            medium: Arc::new(medium),
            pool: Pool::default(),
            frames,
            start_ticks: start.ticks,
            last_ticks: 0,
            index: 0,
            drained: false,
            input: context,
        })
    }

    /// Decodes up to so many frames, and returns how many there were.
    pub fn decode_alone(&mut self, most: u64) -> Result<u64> {
        let mut count = 0;
        while count < most && self.decode()?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    fn error(&self, e: ffmpeg::Error) -> Error {
        Error::input(&self.medium.name, format!("decoding failed at frame {}: {e}", self.index))
    }

    /// Feeds the decoder until it has a frame. A damaged packet is passed over, as FFmpeg does.
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
            |c: &Converter| (c.width, c.height, c.format) == (decoded.width(), decoded.height(), decoded.format());
        if !self.converter.as_ref().is_some_and(fits) {
            self.converter = Some(Converter::new(decoded, self.upright, &self.medium)?);
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
        // Its size may change on the way.
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

impl Converter {
    fn new(like: &Video, upright: &str, medium: &Medium) -> Result<Self, ffmpeg::Error> {
        let chain = format!("{upright}scale={}:{}:flags=bicubic,format=rgb24", medium.width, medium.height);
        let filter = Filter::new(like.format(), like.width(), like.height(), &chain)?;
        Ok(Self { filter, width: like.width(), height: like.height(), format: like.format() })
    }
}

/// Opens a stream that ends when its server falls silent for ten seconds. RTSP goes through TCP, which loses nothing,
/// where the server can.
fn connect(address: &str) -> Result<ffmpeg::format::context::Input, ffmpeg::Error> {
    let through = |transport: &str| {
        let options =
            ffmpeg::dict! { "rw_timeout" => "10000000", "timeout" => "10000000", "rtsp_transport" => transport };
        ffmpeg::format::input_with_dictionary(address, options)
    };
    let is_rtsp = address.starts_with("rtsp");
    through("tcp").or_else(|error| if is_rtsp { through("udp") } else { Err(error) })
}

/// When the first of a film's streams begins, in ticks of `base`.
fn start_ticks(context: &ffmpeg::format::context::Input, base: TimeBase) -> i64 {
    let started = context.streams().filter(|s| s.start_time() != ffmpeg::ffi::AV_NOPTS_VALUE);
    let seconds = started.map(|s| s.start_time() as f64 * f64::from(s.time_base())).reduce(f64::min);
    let tick = f64::from(base.numerator) / f64::from(base.denominator);
    (seconds.unwrap_or(0.0) / tick).round() as i64
}

/// The stream's display matrix.
fn turn_of(stream: &ffmpeg::Stream) -> Option<Turn> {
    let data = stream.side_data().find(|d| d.kind() == side_data::Type::DisplayMatrix)?;
    Turn::from_bytes(data.data())
}
