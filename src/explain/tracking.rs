//! Following the objects of a film from frame to frame, so that boxes do not flicker and a chosen object stays chosen.
//!
//! Greedy matching by intersection over union, as in SORT (Bewley et al. 2016) without its motion model: at camera rate
//! an object moves by less than its size from frame to frame.

use super::candidates::{Found, overlap};

/// The objects that are followed.
#[derive(Debug, Default)]
pub struct Tracker {
    tracks: Vec<Track>,
    next: u64,
    /// The object that is explained; without one, all are.
    pub chosen: Option<u64>,
}

/// An object that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Its number among all objects of a run, counted from 0.
    pub id: u64,
    /// Its number among the objects in view, counted from 1.
    pub number: usize,
}

#[derive(Debug)]
struct Track {
    id: u64,
    /// For people to choose by: since it was first shown, the least number from 1 that no other object had.
    number: Option<usize>,
    class_index: usize,
    bounds: [f32; 4],
    /// Whether it has reached the threshold, from which on it stays until it falls well below.
    shown: bool,
    missed: u32,
}

impl Tracker {
    /// The share of the threshold that an object which is shown may fall to.
    pub const HYSTERESIS: f32 = 0.6;
    /// The least overlap of a box with that of the same object one frame before.
    const SAME: f32 = 0.3;
    /// How much of a box is new in each frame.
    const NEW: f32 = 0.6;
    /// Frames after which an object that is not seen is forgotten.
    const PATIENCE: u32 = 15;

    /// Matches what was found, best first, with the objects of earlier frames. Returns those that are shown, with calmer
    /// boxes, each with its object.
    pub fn follow(&mut self, found: Vec<Found>, threshold: f32) -> Vec<(Followed, Found)> {
        for track in &mut self.tracks {
            track.missed += 1;
        }
        let mut shown = Vec::with_capacity(found.len());
        for mut object in found {
            let taken = |number: usize| self.tracks.iter().any(|track| track.number == Some(number));
            let free = (1..=self.tracks.len() + 1).find(|number| !taken(*number)).unwrap_or(1);
            let nearness = |track: &Track| {
                let same = f32::from(u8::from(track.class_index == object.class_index));
                (track.missed > 0).then(|| overlap(track.bounds, object.bounds) * (0.5 + 0.5 * same))
            };
            let nearest = self.tracks.iter_mut().filter_map(|track| Some((nearness(track)?, track)));
            let nearest = nearest.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(nearness, _)| *nearness >= Self::SAME);
            let track = if let Some((_, track)) = nearest {
                track
            } else {
                let (id, class_index, bounds) = (self.next, object.class_index, object.bounds);
                self.next += 1;
                self.tracks.push(Track { id, number: None, class_index, bounds, shown: false, missed: 0 });
                let Some(track) = self.tracks.last_mut() else { continue };
                track
            };
            for (kept, new) in track.bounds.iter_mut().zip(object.bounds) {
                *kept += (new - *kept) * Self::NEW;
            }
            (track.missed, track.class_index) = (0, object.class_index);
            track.shown = object.score >= threshold || track.shown && object.score >= threshold * Self::HYSTERESIS;
            if track.shown {
                object.bounds = track.bounds;
                let number = *track.number.get_or_insert(free);
                shown.push((Followed { id: track.id, number }, object));
            }
        }
        self.tracks.retain(|track| track.missed <= Self::PATIENCE);
        if self.chosen.is_some_and(|chosen| self.tracks.iter().all(|track| track.id != chosen)) {
            self.chosen = None;
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cup(left: f32, score: f32) -> Found {
        Found { entry: 0, class_index: 41, score, logit: 0.0, bounds: [left, 0.0, left + 10.0, 10.0] }
    }

    #[test]
    fn an_object_keeps_its_number_while_it_moves() {
        let mut tracker = Tracker::default();
        let ids: Vec<u64> =
            (0..30_u8).flat_map(|x| tracker.follow(vec![cup(x.into(), 0.5)], 0.25)).map(|o| o.0.id).collect();
        assert_eq!(ids, [0; 30]);
        assert_eq!(tracker.follow(vec![cup(200.0, 0.5)], 0.25)[0].0, Followed { id: 1, number: 2 });
    }

    #[test]
    fn a_score_that_wavers_about_the_threshold_does_not_flicker() {
        let mut tracker = Tracker::default();
        let shown =
            [0.2, 0.26, 0.24, 0.2, 0.16, 0.1, 0.2].map(|score| tracker.follow(vec![cup(0.0, score)], 0.25).len());
        assert_eq!(shown, [0, 1, 1, 1, 1, 0, 0]);
    }

    #[test]
    fn a_chosen_object_that_is_gone_is_given_up() {
        let mut tracker = Tracker::default();
        tracker.follow(vec![cup(0.0, 0.5)], 0.25);
        tracker.chosen = Some(0);
        tracker.follow(Vec::new(), 0.25);
        assert_eq!(tracker.chosen, Some(0));
        (0..20).for_each(|_| drop(tracker.follow(Vec::new(), 0.25)));
        assert_eq!(tracker.chosen, None);
    }
}
