//! Continuous times for the packets of a film whose clock steps back or leaps.

/// Keeps the times of all streams of a file continuous. A step back, or a leap ahead, gets an offset, which holds for
/// picture and sound together. So the files that a recorder joined, and a broadcast whose clock was set, play on.
pub struct Timeline {
    /// Added to every time, in microseconds.
    offset_us: i64,
    /// For each stream, the time of its last packet and the time at which the next one is due, in microseconds.
    last: Vec<Option<(i64, i64)>>,
    /// How far ahead a packet may be, in microseconds.
    most_ahead_us: i64,
    bridged: u64,
}

impl Timeline {
    /// For formats whose clock is known to leap.
    const AHEAD_US: i64 = 10_000_000;
    /// For others, in which slides may stand long.
    const AHEAD_OF_FILES_US: i64 = 3_600_000_000;

    /// `leaping` says that the format is one whose clock is known to leap, as that of MPEG transport streams.
    pub fn new(leaping: bool) -> Self {
        let most_ahead_us = if leaping { Self::AHEAD_US } else { Self::AHEAD_OF_FILES_US };
        Self { offset_us: 0, last: Vec::new(), most_ahead_us, bridged: 0 }
    }

    /// What is added to the times of a packet, in microseconds. Packets come in the order of the file; `decoded_us` is the
    /// time at which this one is decoded, if it has one.
    pub fn offset_for(&mut self, stream: usize, decoded_us: Option<i64>, duration_us: i64, is_sound: bool) -> i64 {
        /// Where parts are joined, the sound of the first may reach this far into the second.
        const OVERLAP_US: i64 = 100_000;
        let Some(decoded_us) = decoded_us else { return self.offset_us };
        let most_back_us = if is_sound { OVERLAP_US } else { 0 };
        if self.last.len() <= stream {
            self.last.resize(stream + 1, None);
        }
        if let Some((last, due)) = self.last[stream] {
            let now = decoded_us + self.offset_us;
            if last - now > most_back_us || now - due > self.most_ahead_us {
                self.offset_us += due - now;
                self.bridged += 1;
            }
        }
        let now = decoded_us + self.offset_us;
        self.last[stream] = Some((now, now + duration_us));
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
    fn continuous(leaping: bool, times_ms: &[(usize, i64)]) -> Vec<i64> {
        let mut timeline = Timeline::new(leaping);
        let at = |&(stream, ms): &(usize, i64)| {
            ms + timeline.offset_for(stream, Some(ms * 1000), 40_000, stream == 1) / 1000
        };
        times_ms.iter().map(at).collect()
    }

    #[test]
    fn a_step_back_moves_picture_and_sound_together() {
        let joined = [(0, 0), (1, 10), (0, 40), (1, 50), (0, 0), (1, 10), (0, 40)];
        assert_eq!(continuous(false, &joined), [0, 10, 40, 50, 80, 90, 120]);
        let overlapping = [(0, 0), (1, 10), (0, 40), (1, 50), (0, 0), (1, -50), (0, 40)];
        assert_eq!(continuous(false, &overlapping), [0, 10, 40, 50, 80, 30, 120]);
    }

    #[test]
    fn a_leap_is_bridged_and_a_long_slide_is_kept() {
        let leap = [(0, 0), (0, 40), (0, 36_000_080), (0, 36_000_120)];
        assert_eq!(continuous(true, &leap), [0, 40, 80, 120]);
        assert_eq!(continuous(false, &[(0, 0), (0, 60_000)]), [0, 60_000]);
        assert_eq!(continuous(true, &[(0, 0), (0, 9_000)]), [0, 9_000]);
    }
}
