//! A source for live view: in real time, repeated or reconnected at its end, and mirrored.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use image::imageops;

use super::interface::Source;
use crate::error::Result;
use crate::media::{Frame, Medium, MediumKind, Time, TimeBase};

/// Opens a source, and opens it again after its end.
pub type Reopen = Box<dyn FnMut() -> Result<Box<dyn Source>> + Send>;

/// Reports why no frames arrive, and `None` once they arrive again.
pub type StatusReport = Box<dyn Fn(Option<String>) + Send>;

/// What a live source does when its source ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndPolicy {
    /// It ends.
    Finish,
    /// It plays the source again from the start.
    Repeat,
    /// It opens the source again, also after an error, and retries until that succeeds.
    Reconnect,
    /// As [`EndPolicy::Repeat`], and after an error as [`EndPolicy::Reconnect`].
    Forever,
}

/// A source for live view. The times of its frames continue from one end to the next start.
pub struct LiveSource {
    open: Reopen,
    current: Option<Box<dyn Source>>,
    policy: EndPolicy,
    /// Whether frames wait for their time, as those of a film do.
    paced: bool,
    mirrored: bool,
    report: StatusReport,
    /// Whether it is reported that the source is gone.
    gone: bool,
    medium: Option<Arc<Medium>>,
    index: u64,
    started: Instant,
    /// Waits until a frame is due.
    wait_until: Box<dyn FnMut(Instant)>,
    /// The offset of the current source's times, in microseconds.
    offset_us: i64,
    /// The time of the last frame, in microseconds.
    last_us: i64,
    /// How long it is shown, in microseconds, if that is known.
    last_duration_us: Option<i64>,
}

fn sleep_until(due: Instant) {
    thread::sleep(due.saturating_duration_since(Instant::now()));
}

impl LiveSource {
    const RETRY_INTERVAL: Duration = Duration::from_millis(500);

    /// Opens a source. One with an end, as a film, is paced: each frame waits until its time. `of_film` and `of_stream` say
    /// what follows on the end of either kind. `mirrored` flips pictures left to right.
    ///
    /// # Errors
    /// The source cannot be opened.
    pub fn open(
        mut open: Reopen,
        of_film: EndPolicy,
        of_stream: EndPolicy,
        mirrored: bool,
        report: StatusReport,
    ) -> Result<Self> {
        let current = open()?;
        let paced = !current.is_endless();
        let policy = if paced { of_film } else { of_stream };
        let current = Some(current);
        Ok(Self {
            open,
            current,
            policy,
            paced,
            mirrored,
            report,
            gone: false,
            medium: None,
            index: 0,
            started: Instant::now(),
            wait_until: Box::new(sleep_until),
            offset_us: 0,
            last_us: 0,
            last_duration_us: None,
        })
    }

    /// Reports that the source is gone, once.
    fn lose(&mut self, why: &str) {
        if !std::mem::replace(&mut self.gone, true) {
            (self.report)(Some(format!("{why}\nwaiting for it to come back")));
        }
    }

    /// Opens the source again. Under [`EndPolicy::Reconnect`], a failure waits for the next try.
    fn reopen(&mut self) -> Result<()> {
        match (self.open)() {
            Ok(source) => {
                self.current = Some(source);
                self.gone = false;
                (self.report)(None);
            }
            Err(error) if matches!(self.policy, EndPolicy::Reconnect | EndPolicy::Forever) => {
                self.lose(&error.to_string());
                thread::sleep(Self::RETRY_INTERVAL);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Makes a frame one of this source, with its time, index and medium. Waits until it is due.
    fn adopt(&mut self, mut frame: Frame) -> Frame {
        let time_us = if self.paced {
            let time_us = self.offset_us + frame.time.as_us();
            (self.wait_until)(self.started + Duration::from_micros(u64::try_from(time_us).unwrap_or(0)));
            frame.taken = Instant::now();
            time_us
        } else {
            i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX)
        };
        let duration_us = frame.duration.map(|ticks| Time { ticks, ..frame.time }.as_us());
        (self.last_us, self.last_duration_us) = (time_us, duration_us);
        if self.mirrored {
            imageops::flip_horizontal_in_place(&mut *frame.picture);
        }
        frame.medium = self.medium_of(&frame);
        frame.time = Time { ticks: time_us, base: TimeBase::MICROSECONDS };
        frame.duration = duration_us.filter(|_| self.paced);
        frame.index = self.index;
        self.index += 1;
        frame
    }

    /// Waits as long as the last frame of a film is shown, if that is known.
    fn wait_for_the_last_frame(&mut self) {
        if let Some(duration_us) = self.last_duration_us.filter(|_| self.paced) {
            let end_us = u64::try_from(self.last_us.saturating_add(duration_us)).unwrap_or(0);
            (self.wait_until)(self.started + Duration::from_micros(end_us));
        }
    }

    /// The live medium of a frame. Frames of one size share it.
    fn medium_of(&mut self, frame: &Frame) -> Arc<Medium> {
        let (width, height) = frame.picture.dimensions();
        if let Some(medium) = &self.medium
            && (medium.width, medium.height) == (width, height)
        {
            return Arc::clone(medium);
        }
        let medium = Arc::new(Medium {
            name: frame.medium.name.clone(),
            path: None,
            address: None,
            kind: MediumKind::Live,
            width,
            height,
            time_base: TimeBase::MICROSECONDS,
        });
        self.medium = Some(Arc::clone(&medium));
        medium
    }
}

impl Source for LiveSource {
    fn next_frame(&mut self) -> Result<Option<Frame>> {
        /// The time from a last frame of unknown duration to the next first one.
        const GAP_US: i64 = 40_000;
        let mut empty = false;
        loop {
            let Some(source) = &mut self.current else {
                self.reopen()?;
                continue;
            };
            let end = match source.next_frame() {
                Ok(Some(frame)) => return Ok(Some(self.adopt(frame))),
                end => end.map(drop),
            };
            self.wait_for_the_last_frame();
            match (self.policy, end) {
                (EndPolicy::Finish, Ok(())) => return Ok(None),
                (EndPolicy::Repeat, Ok(())) if empty => return Ok(None),
                (EndPolicy::Repeat, Ok(())) => {}
                (EndPolicy::Forever, Ok(())) if !empty => {}
                (EndPolicy::Finish | EndPolicy::Repeat, Err(error)) => return Err(error),
                (EndPolicy::Reconnect | EndPolicy::Forever, end) => {
                    if empty {
                        thread::sleep(Self::RETRY_INTERVAL);
                    }
                    self.lose(&end.err().map_or("the stream has ended".into(), |error| error.to_string()));
                }
            }
            self.current = None;
            self.offset_us = self.last_us + self.last_duration_us.unwrap_or(GAP_US);
            empty = true;
        }
    }

    fn frame_count(&self) -> Option<u64> {
        None
    }

    fn passed_over(&mut self) -> u64 {
        self.current.as_mut().map_or(0, |source| source.passed_over())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use image::{Rgb, RgbImage};

    use super::*;
    use crate::error::Error;

    /// Gives two frames, black on the left and white on the right, and then `end`.
    struct ShortSource {
        given: i64,
        end: fn() -> Result<Option<Frame>>,
    }

    impl Source for ShortSource {
        fn next_frame(&mut self) -> Result<Option<Frame>> {
            if self.given == 2 {
                return (self.end)();
            }
            let picture = RgbImage::from_fn(4, 2, |x, _| Rgb([if x < 2 { 0 } else { 255 }; 3]));
            let mut frame = Frame::alone(Path::new("short"), picture, None);
            frame.time = Time { ticks: self.given * 20, base: TimeBase::MILLISECONDS };
            self.given += 1;
            Ok(Some(frame))
        }

        fn frame_count(&self) -> Option<u64> {
            Some(2)
        }
    }

    fn source(policy: EndPolicy, end: fn() -> Result<Option<Frame>>, report: StatusReport) -> LiveSource {
        let open: Reopen = Box::new(move || Ok(Box::new(ShortSource { given: 0, end })));
        let source = LiveSource::open(open, policy, policy, true, report);
        LiveSource { wait_until: Box::new(|_| ()), ..source.unwrap_or_else(|e| panic!("{e}")) }
    }

    fn unplugged() -> Result<Option<Frame>> {
        Err(Error::Camera { camera: "0".into(), problem: "it was unplugged".into() })
    }

    #[test]
    fn a_film_repeats_in_real_time_and_its_times_continue() {
        let (waits, waited) = crossbeam_channel::unbounded();
        let mut source = source(EndPolicy::Repeat, || Ok(None), Box::new(|_| ()));
        source.wait_until = Box::new(move |due| _ = waits.send(due));
        let times: Vec<i64> = (0..5).filter_map(|_| Some(source.next_frame().ok()??.time.as_us())).collect();
        assert_eq!(times, [0, 20_000, 60_000, 80_000, 120_000]);
        let due: Vec<Duration> = waited.try_iter().map(|due| due - source.started).collect();
        assert_eq!(due, [0, 20, 60, 80, 120].map(Duration::from_millis));
    }

    #[test]
    fn a_source_that_goes_away_is_opened_again() {
        let (reports, reported) = crossbeam_channel::unbounded();
        let mut found = source(EndPolicy::Reconnect, unplugged, Box::new(move |why| drop(reports.send(why))));
        let indices: Vec<u64> = (0..5).filter_map(|_| Some(found.next_frame().ok()??.index)).collect();
        assert_eq!(indices, [0, 1, 2, 3, 4]);
        let whys: Vec<String> = reported.try_iter().flatten().collect();
        assert!(whys.len() == 2 && whys[0].starts_with("camera 0: it was unplugged"), "{whys:?}");
        let mut lost = source(EndPolicy::Finish, unplugged, Box::new(|_| ()));
        assert!(lost.next_frame().is_ok() && lost.next_frame().is_ok() && lost.next_frame().is_err());
    }

    #[test]
    fn a_mirrored_picture_is_flipped_left_to_right() {
        let mut source = source(EndPolicy::Finish, || Ok(None), Box::new(|_| ()));
        let frame = source.next_frame().ok().flatten();
        assert_eq!(frame.map(|f| f.picture.get_pixel(0, 0).0), Some([255; 3]));
    }
}
