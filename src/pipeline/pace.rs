//! Measuring the rates of the pipeline and the ages of its frames.

use std::time::{Duration, Instant};

use crate::screen::Pace;

/// Measures rates, each the mean of about a second, and ages.
pub struct PaceMeter {
    since: Instant,
    captured: u64,
    explained: u64,
    pace: Pace,
    ages: Ages,
}

/// Ages of all explained frames at the moment they were shown.
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

    /// The pace, given the totals of captured and explained frames.
    pub fn pace(&mut self, captured: u64, explained: u64) -> Pace {
        let elapsed = self.since.elapsed().as_secs_f32();
        if elapsed >= 1.0 {
            self.pace.captured = (captured - self.captured) as f32 / elapsed;
            self.pace.explained = (explained - self.explained) as f32 / elapsed;
            (self.since, self.captured, self.explained) = (Instant::now(), captured, explained);
        }
        self.pace.dropped = captured.saturating_sub(explained);
        self.pace
    }

    pub fn ages(&self) -> Ages {
        self.ages
    }
}
