//! A camera as a source.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::decode::{Layout, decode};
use super::driver::{self, Camera, STALLED, Shot, stalled};
use super::modes::RequestedMode;
use crate::error::{Error, Result};
use crate::files::limits;
use crate::media::{Frame, Medium, MediumKind, Picture, Pool, Time, TimeBase};
use crate::source::Source;
use crate::sync::channel::{self, Policy, Received};

/// A camera, read on a separate thread. A frame that is read late has waited in the driver and is old.
pub struct CameraSource {
    camera: u32,
    layout: Layout,
    shots: channel::Receiver<Result<Numbered>>,
    medium: Arc<Medium>,
    pool: Pool,
    started: Option<Instant>,
    /// Frames given or skipped.
    counted: u64,
    passed_over: u64,
}

/// A picture with its number, counted from 0.
struct Numbered {
    shot: Shot,
    number: u64,
}

impl CameraSource {
    /// Opens a camera in the mode nearest to the requested one. Without a request, it chooses about 640x480 to
    /// 1280x720 at 24 to 60 frames per second, cheap to decode.
    ///
    /// # Errors
    /// The camera is absent or busy, or has no format that can be decoded.
    pub fn open(index: u32, requested: RequestedMode) -> Result<Self> {
        let (shots_sender, shots) = channel::channel(Policy::Newest, 1);
        let (opened_sender, opened) = crossbeam_channel::bounded(1);
        let work = move || match driver::open(index, requested) {
            Ok(camera) => {
                let _ = opened_sender.send(Ok(camera.layout()));
                read(camera, &shots_sender);
            }
            Err(error) => drop(opened_sender.send(Err(error))),
        };
        let spawned = thread::Builder::new().name("camera".into()).spawn(work);
        spawned.map_err(|e| Error::runtime("thread camera", e.to_string()).caused_by(e))?;
        let layout = opened.recv().map_err(|_| panicked())??;
        if !limits::SIDES.contains(&layout.width) || !limits::SIDES.contains(&layout.height) {
            let problem = format!(
                "its pictures have {}x{} pixels; up to {} a side are read",
                layout.width,
                layout.height,
                limits::LONGEST_SIDE
            );
            return Err(Error::camera(index, problem));
        }
        let medium = Medium {
            name: format!("camera {index}"),
            path: None,
            address: None,
            kind: MediumKind::Live,
            width: layout.width,
            height: layout.height,
            time_base: TimeBase::MICROSECONDS,
        };
        Ok(Self {
            camera: index,
            layout,
            shots,
            medium: Arc::new(medium),
            pool: Pool::default(),
            started: None,
            counted: 0,
            passed_over: 0,
        })
    }

    fn frame(&mut self, taken: Instant, number: u64, picture: Picture) -> Frame {
        let started = *self.started.get_or_insert(taken);
        let elapsed = taken.saturating_duration_since(started);
        let ticks = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
        let time = Time { ticks, base: TimeBase::MICROSECONDS };
        Frame { taken, ..Frame::now(&self.medium, number, time, picture) }
    }
}

fn panicked() -> Error {
    Error::runtime("thread camera", "it panicked; please report this")
}

/// Sends a camera's pictures until it fails or the receiver is gone.
fn read(mut camera: impl Camera, shots: &channel::Sender<Result<Numbered>>) {
    for number in 0.. {
        match camera.next_shot() {
            Ok(shot) => {
                if !shots.send(Ok(Numbered { shot, number })) {
                    return;
                }
            }
            Err(error) => {
                // The receiver of the error may open the camera again at once.
                drop(camera);
                shots.send(Err(error));
                return;
            }
        }
    }
}

impl Source for CameraSource {
    fn is_endless(&self) -> bool {
        true
    }

    fn next_frame(&mut self) -> Result<Option<Frame>> {
        /// Webcams sometimes send a damaged picture, often the first.
        const MAX_DAMAGED: u32 = 30;
        const PATIENCE: Duration = Duration::from_secs(1);
        let (mut damaged, mut waited) = (0, Duration::ZERO);
        loop {
            let Numbered { shot, number } = match self.shots.receive_within(PATIENCE) {
                Received::Item(shot) => shot?,
                // Longer than V4L2 waits, whose own error comes first.
                Received::Timeout if waited > STALLED => return Err(stalled(self.camera)),
                Received::Timeout => {
                    waited += PATIENCE;
                    continue;
                }
                Received::End => return Err(panicked()),
            };
            self.passed_over += number - self.counted;
            self.counted = number + 1;
            let mut picture = self.pool.picture(self.layout.width, self.layout.height);
            match decode(&shot.bytes, self.layout, &mut picture) {
                Ok(()) => return Ok(Some(self.frame(shot.taken, number, picture))),
                Err(problem) if damaged == MAX_DAMAGED => {
                    let problem = format!("its pictures are damaged: {problem}");
                    return Err(Error::camera(self.camera, problem));
                }
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
