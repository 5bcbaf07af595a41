//! Pictures as one video stream of an output: converted, encoded and written.

use std::path::Path;

use ffmpeg_the_third as ffmpeg;

use super::convert::PixelConverter;
use super::encoder::open_encoder;
use super::errors::{failed, wants_more, words};
use super::storage::{Storage, write_display_matrix};
use crate::error::{Error, Result};
use crate::media::{Frame, Medium, MediumKind, Time, TimeBase};
use crate::sink::interface::Encoding;

/// The video stream of an output, its first one.
pub struct VideoStream {
    pub output: ffmpeg::format::context::Output,
    encoder: ffmpeg::encoder::video::Encoder,
    converter: PixelConverter,
    /// The time base of the encoder.
    time_base: ffmpeg::Rational,
    /// The time of the last frame; -1 before the first.
    last_ticks: i64,
    /// The duration of the last frame, in ticks.
    frame_ticks: i64,
}

impl VideoStream {
    /// Adds the stream to an output, whose header is not written yet. `name` is that of the output in messages.
    ///
    /// # Errors
    /// The encoder does not take such pictures.
    pub fn add(
        name: &Path,
        mut output: ffmpeg::format::context::Output,
        medium: &Medium,
        storage: &Storage,
        (codec, encoding): (ffmpeg::Codec, &Encoding),
    ) -> Result<Self> {
        let fail = |e| failed(name, e);
        let time_base = encoder_time_base(medium, &output);
        let (encoder, frame_ticks) =
            open_encoder((codec, encoding), medium, storage, &output, time_base).map_err(|e| {
                let Storage { width, height, .. } = storage;
                let problem = format!("the encoder {} does not take {width}x{height} pictures", codec.name());
                Error::output(name, format!("{problem} ({})", words(e)))
            })?;
        add_stream(&mut output, &encoder, medium, storage, time_base).map_err(fail)?;
        let converter = PixelConverter::new(encoder.format(), storage.rotate_back, medium.width, medium.height);
        Ok(Self { output, encoder, converter: converter.map_err(fail)?, time_base, last_ticks: -1, frame_ticks })
    }

    /// The pixel format that is encoded.
    pub fn pixel(&self) -> ffmpeg::format::Pixel {
        self.encoder.format()
    }

    /// Encodes a frame. Returns its time in seconds.
    ///
    /// # Errors
    /// The encoder or the output fails.
    pub fn encode(&mut self, frame: &Frame) -> Result<f64, ffmpeg::Error> {
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
        Ok(f64::from(self.time_base) * ticks as f64)
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

    /// Encodes what is left. Returns the end of the last frame, in seconds.
    ///
    /// # Errors
    /// The encoder or the output fails.
    pub fn end(&mut self) -> Result<f64, ffmpeg::Error> {
        self.encoder.send_eof()?;
        self.take_packets()?;
        Ok(f64::from(self.time_base) * (self.last_ticks + self.frame_ticks) as f64)
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

fn add_stream(
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
