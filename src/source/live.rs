//! What makes a source one to look at live: at its own speed, over and over, found again, mirrored.

use std::sync::Arc;
use std::time::{Duration, Instant};

use image::imageops;

use super::Source;
use crate::error::Result;
use crate::frame::{Frame, Medium, MediumKind, Time, TimeBase};

/// Opens a source, again and again.
pub type Open = Box<dyn FnMut() -> Result<Box<dyn Source>> + Send>;

/// Says why no frames come for a while, and nothing when they come again.
pub type Tell = Box<dyn Fn(Option<String>) + Send>;

/// What becomes of a source at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is over.
    Over,
    /// It begins anew.
    Repeat,
    /// A source that ends or breaks is looked for until it is there again.
    LookAgain,
}

/// A source to look at live. Its frames' times go on over its ends.
pub struct LiveSource {
    open: Open,
    current: Option<Box<dyn Source>>,
    end: End,
    /// Whether frames wait for their time, as those of a film.
    paced: bool,
    mirrored: bool,
    tell: Tell,
    medium: Option<Arc<Medium>>,
    index: u64,
    clock: Instant,
    /// What is added to the current source's times, and the time of the last frame, in microseconds.
    offset_us: i64,
    last_us: i64,
}

impl LiveSource {
    const LOOK_EVERY: Duration = Duration::from_millis(500);

    /// # Errors
    /// The source cannot be opened now.
    pub fn open(mut open: Open, end: End, paced: bool, mirrored: bool, tell: Tell) -> Result<Self> {
        let current = Some(open()?);
        let clock = Instant::now();
        Ok(Self { open, current, end, paced, mirrored, tell, medium: None, index: 0, clock, offset_us: 0, last_us: 0 })
    }

    /// The frame as one of this source, when it is its turn.
    fn in_turn(&mut self, mut frame: Frame) -> Frame {
        let mut time_us = self.offset_us + frame.time.as_us();
        if self.paced {
            let due = self.clock + Duration::from_micros(u64::try_from(time_us).unwrap_or(0));
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            frame.taken = Instant::now();
        } else {
            time_us = i64::try_from(self.clock.elapsed().as_micros()).unwrap_or(i64::MAX);
        }
        self.last_us = time_us;
        if self.mirrored {
            imageops::flip_horizontal_in_place(&mut *frame.picture);
        }
        let (width, height) = frame.picture.dimensions();
        let same = |medium: &&Arc<Medium>| (medium.width, medium.height) == (width, height);
        let medium = self.medium.as_ref().filter(same).map_or_else(
            || {
                let time_base = TimeBase::MICROSECONDS;
                let name = frame.medium.name.clone();
                Arc::new(Medium { name, path: None, kind: MediumKind::Live, width, height, time_base })
            },
            Arc::clone,
        );
        frame.medium = Arc::clone(&medium);
        self.medium = Some(medium);
        frame.time = Time { ticks: time_us, base: TimeBase::MICROSECONDS };
        frame.index = self.index;
        self.index += 1;
        frame
    }
}

impl Source for LiveSource {
    fn next_frame(&mut self) -> Result<Option<Frame>> {
        /// From the last frame of a film to its first one, where nothing says how long it stays.
        const BETWEEN_US: i64 = 40_000;
        let mut empty = false;
        loop {
            let Some(source) = &mut self.current else {
                match (self.open)() {
                    Ok(source) => {
                        self.current = Some(source);
                        (self.tell)(None);
                    }
                    Err(_) if self.end == End::LookAgain => std::thread::sleep(Self::LOOK_EVERY),
                    Err(error) => return Err(error),
                }
                continue;
            };
            match source.next_frame() {
                Ok(Some(frame)) => return Ok(Some(self.in_turn(frame))),
                Ok(None) if self.end == End::Over || (self.end == End::Repeat && empty) => return Ok(None),
                Err(error) if self.end != End::LookAgain => return Err(error),
                end => {
                    if self.end == End::LookAgain {
                        let why = end.err().map_or("the stream has ended".into(), |error| error.to_string());
                        (self.tell)(Some(format!("{why}\nlooking for it until it is there again")));
                    }
                    self.current = None;
                    self.offset_us = self.last_us + BETWEEN_US;
                    empty = true;
                }
            }
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

    /// Two frames, black on the left and white on the right, and then what is given.
    struct Short {
        given: i64,
        end: fn() -> Result<Option<Frame>>,
    }

    impl Source for Short {
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

    fn source(end: End, at_end: fn() -> Result<Option<Frame>>, tell: Tell) -> LiveSource {
        let open: Open = Box::new(move || Ok(Box::new(Short { given: 0, end: at_end })));
        LiveSource::open(open, end, true, true, tell).unwrap_or_else(|e| panic!("{e}"))
    }

    fn broken() -> Result<Option<Frame>> {
        Err(Error::Camera { camera: "0".into(), problem: "it was unplugged".into() })
    }

    #[test]
    fn a_film_begins_anew_at_its_own_speed_and_its_times_go_on() {
        let began = Instant::now();
        let mut source = source(End::Repeat, || Ok(None), Box::new(|_| ()));
        let times: Vec<i64> = (0..5).filter_map(|_| Some(source.next_frame().ok()??.time.as_us())).collect();
        assert_eq!(times, [0, 20_000, 60_000, 80_000, 120_000]);
        assert!(began.elapsed() >= Duration::from_millis(115));
    }

    #[test]
    fn a_source_that_goes_away_is_looked_for() {
        let (said, heard) = crossbeam_channel::unbounded();
        let mut found = source(End::LookAgain, broken, Box::new(move |why| drop(said.send(why))));
        let indices: Vec<u64> = (0..5).filter_map(|_| Some(found.next_frame().ok()??.index)).collect();
        assert_eq!(indices, [0, 1, 2, 3, 4]);
        let whys: Vec<String> = heard.try_iter().flatten().collect();
        assert!(whys.len() == 2 && whys[0].starts_with("camera 0: it was unplugged"), "{whys:?}");
        let mut lost = source(End::Over, broken, Box::new(|_| ()));
        assert!(lost.next_frame().is_ok() && lost.next_frame().is_ok() && lost.next_frame().is_err());
    }

    #[test]
    fn a_mirrored_picture_is_turned_left_to_right() {
        let mut source = source(End::Over, || Ok(None), Box::new(|_| ()));
        let frame = source.next_frame().ok().flatten();
        assert_eq!(frame.map(|f| f.picture.get_pixel(0, 0).0), Some([255; 3]));
    }
}
