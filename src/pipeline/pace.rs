//! Measuring how the pipeline keeps up.

use std::time::{Duration, Instant};

use crate::screen::Pace;

/// Rates and ages, means over about a second.
pub struct PaceMeter {
    since: Instant,
    captured: u64,
    explained: u64,
    pace: Pace,
    /// Of all explained frames.
    ages: Ages,
}

/// Ages of explained frames when they were shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ages {
    pub count: u32,
    pub total: Duration,
    pub most: Duration,
}

impl Ages {
    pub fn mean(&self) -> Duration {
        self.total / self.count.max(1)
    }
}

impl PaceMeter {
    pub fn new() -> Self {
        Self { since: Instant::now(), captured: 0, explained: 0, pace: Pace::default(), ages: Ages::default() }
    }

    /// Notes an explained frame that is shown now.
    pub fn shown(&mut self, taken: Instant) {
        self.pace.age = taken.elapsed();
        self.ages.count += 1;
        self.ages.total += self.pace.age;
        self.ages.most = self.ages.most.max(self.pace.age);
    }

    /// The pace after so many frames in all.
    pub fn after(&mut self, captured: u64, explained: u64) -> Pace {
        let passed = self.since.elapsed().as_secs_f32();
        if passed >= 1.0 {
            self.pace.captured = (captured - self.captured) as f32 / passed;
            self.pace.explained = (explained - self.explained) as f32 / passed;
            (self.since, self.captured, self.explained) = (Instant::now(), captured, explained);
        }
        self.pace.dropped = captured.saturating_sub(explained);
        self.pace
    }

    pub fn ages(&self) -> Ages {
        self.ages
    }
}
