//! A camera as a source.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nokhwa::pixel_format::RgbFormat;
use nokhwa::utils::FrameFormat;
use nokhwa::{Buffer, Camera, NokhwaError};

use super::errors::camera_error;
use super::formats::{RequestedMode, open_streaming};
use crate::error::{Error, Result};
use crate::media::{Frame, Medium, MediumKind, Picture, Pool, Time, TimeBase};
use crate::source::Source;
use crate::sync::channel::{self, Policy, Received};

/// A camera, read on a separate thread. A frame that is read late has waited in the driver and is old.
pub struct CameraSource {
    camera: u32,
    shots: channel::Receiver<Result<Shot>>,
    medium: Arc<Medium>,
    pool: Pool,
    started: Option<Instant>,
    /// Frames given or skipped.
    counted: u64,
    passed_over: u64,
}

/// A picture before decoding.
struct Shot {
    buffer: Buffer,
    taken: Instant,
    /// Counted from 0.
    number: u64,
}

impl CameraSource {
    /// Opens a camera in the format nearest to the requested one. Without a request, it chooses about 640x480 to
    /// 1280x720 at 24 to 60 frames per second, cheap to decode.
    ///
    /// # Errors
    /// The camera is absent or busy, or has no format that can be decoded.
    pub fn open(index: u32, requested: RequestedMode) -> Result<Self> {
        let (shots_sender, shots) = channel::channel(Policy::Newest, 1);
        let (opened_sender, opened) = crossbeam_channel::bounded(1);
        let work = move || match open_streaming(index, requested) {
            Ok(camera) => {
                let _ = opened_sender.send(Ok(camera.camera_format()));
                read(camera, index, &shots_sender);
            }
            Err(error) => drop(opened_sender.send(Err(error))),
        };
        let failed = |problem: &str| Error::runtime("thread camera", problem);
        thread::Builder::new().name("camera".into()).spawn(work).map_err(|e| failed(&e.to_string()).caused_by(e))?;
        let format = opened.recv().map_err(|_| failed("it panicked; please report this"))??;
        let medium = Medium {
            name: format!("camera {index}"),
            path: None,
            address: None,
            kind: MediumKind::Live,
            width: format.width(),
            height: format.height(),
            time_base: TimeBase::MICROSECONDS,
        };
        Ok(Self {
            camera: index,
            shots,
            medium: Arc::new(medium),
            pool: Pool::default(),
            started: None,
            counted: 0,
            passed_over: 0,
        })
    }

    fn decode(&self, buffer: &Buffer) -> Result<Picture, NokhwaError> {
        let (width, height) = (buffer.resolution().width(), buffer.resolution().height());
        let mut picture = self.pool.picture(width, height);
        let format = buffer.source_frame_format();
        // nokhwa copies raw RGB without checking its size.
        if format == FrameFormat::RAWRGB && buffer.buffer().len() != picture.len() {
            let error = format!("{} bytes for {width}x{height}", buffer.buffer().len());
            return Err(NokhwaError::ProcessFrameError { src: format, destination: "RGB".into(), error });
        }
        buffer.decode_image_to_buffer::<RgbFormat>(&mut picture)?;
        Ok(picture)
    }

    fn frame(&mut self, shot: &Shot, picture: Picture) -> Frame {
        let started = *self.started.get_or_insert(shot.taken);
        let elapsed = shot.taken.saturating_duration_since(started);
        let ticks = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
        let time = Time { ticks, base: TimeBase::MICROSECONDS };
        Frame { taken: shot.taken, ..Frame::now(&self.medium, shot.number, time, picture) }
    }
}

/// Sends a camera's pictures until it fails or the receiver is gone.
fn read(mut camera: Camera, index: u32, shots: &channel::Sender<Result<Shot>>) {
    for number in 0.. {
        let shot = camera.frame().map_err(|e| camera_error(index, &e)).map(|buffer| {
            let taken = taken(&buffer);
            Shot { buffer, taken, number }
        });
        if shot.is_err() {
            // The receiver of the error may open the camera again at once.
            drop(camera);
            shots.send(shot);
            return;
        }
        if !shots.send(shot) {
            return;
        }
    }
}

/// When a picture was taken: at the camera's timestamp if it gives one, otherwise now.
fn taken(buffer: &Buffer) -> Instant {
    let now = Instant::now();
    let stamp = buffer.capture_timestamp().map(|stamp| SystemTime::UNIX_EPOCH + stamp);
    let age = stamp.map_or(Duration::ZERO, |stamp| age(stamp, SystemTime::now()));
    now.checked_sub(age).unwrap_or(now)
}

/// The age of a timestamp. It is zero if the system clock was set in the meantime.
fn age(stamp: SystemTime, now: SystemTime) -> Duration {
    /// No camera holds a picture back for longer.
    const MAX_AGE: Duration = Duration::from_secs(10);
    let age = now.duration_since(stamp).unwrap_or_default();
    if age < MAX_AGE { age } else { Duration::ZERO }
}

impl Source for CameraSource {
    fn is_endless(&self) -> bool {
        true
    }

    fn next_frame(&mut self) -> Result<Option<Frame>> {
        /// Webcams sometimes send a damaged picture, often the first.
        const MAX_DAMAGED: u32 = 30;
        let mut damaged = 0;
        loop {
            let shot = match self.shots.receive_within(Duration::from_secs(1)) {
                Received::Item(shot) => shot?,
                Received::Timeout => continue,
                Received::End => return Ok(None),
            };
            self.passed_over += shot.number - self.counted;
            self.counted = shot.number + 1;
            match self.decode(&shot.buffer) {
                Ok(picture) => return Ok(Some(self.frame(&shot, picture))),
                Err(error) if damaged == MAX_DAMAGED => return Err(camera_error(self.camera, &error)),
                Err(_) => {
                    damaged += 1;
                    self.passed_over += 1;
                }
            }
        }
    }

    fn frame_count(&self) -> Option<u64> {
        None
    }

    fn passed_over(&mut self) -> u64 {
        std::mem::take(&mut self.passed_over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_the_clock_makes_no_picture_old_or_new() {
        let now = SystemTime::now();
        let [moment, year] = [Duration::from_millis(30), Duration::from_hours(8766)];
        assert_eq!(age(now - moment, now), moment);
        assert_eq!(age(now - year, now), Duration::ZERO);
        assert_eq!(age(now + year, now), Duration::ZERO);
    }
}
