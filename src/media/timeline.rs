//! Continuous times for the packets of a film whose clock steps back or leaps.

/// Keeps the times of all streams of a file continuous. A step back, or a leap ahead, gets an offset, which holds for
/// picture and sound together. So the files that a recorder joined, and a broadcast whose clock was set, play on.
pub struct Timeline {
    /// Added to every time, in microseconds.
    offset_us: i64,
    /// For each stream, the time of its last packet and the time at which the next one is due, in microseconds.
    last: Vec<Option<(i64, i64)>>,
    bridged: u64,
}

impl Timeline {
    /// How far a packet may be ahead of its due time.
    const MOST_AHEAD_US: i64 = 10_000_000;
    /// How far back a packet may be. Smaller steps are faults of single packets, and where parts are joined, the sound of
    /// the first may reach into the second.
    const MOST_BACK_US: i64 = 100_000;

    pub fn new() -> Self {
        Self { offset_us: 0, last: Vec::new(), bridged: 0 }
    }

    /// What is added to the times of a packet, in microseconds. Packets come in the order of the file; `decoded_us` is the
    /// time at which this one is decoded, if it has one.
    pub fn offset_for(&mut self, stream: usize, decoded_us: Option<i64>, duration_us: i64) -> i64 {
        let Some(decoded_us) = decoded_us else { return self.offset_us };
        if self.last.len() <= stream {
            self.last.resize(stream + 1, None);
        }
        if let Some((last, due)) = self.last[stream] {
            let now = decoded_us.saturating_add(self.offset_us);
            if last.saturating_sub(now) > Self::MOST_BACK_US || now.saturating_sub(due) > Self::MOST_AHEAD_US {
                self.offset_us = due.saturating_sub(decoded_us);
                self.bridged += 1;
            }
        }
        let now = decoded_us.saturating_add(self.offset_us);
        self.last[stream] = Some((now, now.saturating_add(duration_us)));
        self.offset_us
    }

    /// How many steps and leaps were bridged.
    pub fn bridged(&self) -> u64 {
        self.bridged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The continuous times of packets that are 40 ms long.
    fn continuous(times_ms: &[(usize, i64)]) -> Vec<i64> {
        let mut timeline = Timeline::new();
        let at = |&(stream, ms): &(usize, i64)| ms + timeline.offset_for(stream, Some(ms * 1000), 40_000) / 1000;
        times_ms.iter().map(at).collect()
    }

    #[test]
    fn a_step_back_moves_picture_and_sound_together() {
        let joined = [(0, 0), (1, 10), (0, 400), (1, 410), (0, 0), (1, 10), (0, 40)];
        assert_eq!(continuous(&joined), [0, 10, 400, 410, 440, 450, 480]);
        let overlapping = [(0, 0), (1, 10), (0, 400), (1, 480), (0, 0), (1, -50), (0, 40)];
        assert_eq!(continuous(&overlapping), [0, 10, 400, 480, 440, 390, 480]);
    }

    #[test]
    fn the_fault_of_one_packet_moves_nothing() {
        assert_eq!(continuous(&[(0, 0), (0, 40), (0, 39), (0, 120)]), [0, 40, 39, 120]);
    }

    #[test]
    fn a_leap_is_bridged_and_a_long_slide_is_kept() {
        assert_eq!(continuous(&[(0, 0), (0, 40), (0, 36_000_080), (0, 36_000_120)]), [0, 40, 80, 120]);
        assert_eq!(continuous(&[(0, 0), (0, 9_000)]), [0, 9_000]);
        let mut slides = Timeline::new();
        assert_eq!(slides.offset_for(0, Some(0), 60_000_000), 0);
        assert_eq!(slides.offset_for(0, Some(60_000_000), 60_000_000), 0, "its duration says so");
        assert_eq!(slides.offset_for(0, Some(i64::MIN), i64::MAX), i64::MAX);
    }
}
