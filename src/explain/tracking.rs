//! Following the objects of a film from frame to frame, so that boxes do not flicker and a chosen object stays chosen.
//!
//! Greedy matching by intersection over union, as in SORT (Bewley et al. 2016) without its motion model: at camera rate
//! an object moves by less than its size from frame to frame.

use super::candidates::Found;

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
    /// Whether it is found in this picture, and not only a moment before.
    pub seen: bool,
}

#[derive(Debug)]
struct Track {
    id: u64,
    /// For people to choose by: since it was first shown, the least number from 1 that no other object had.
    number: Option<usize>,
    /// As it was found last, with a calmer box.
    last: Found,
    /// How often it has reached the threshold.
    hits: u32,
    /// Whether it stays until its score falls well below the threshold.
    shown: bool,
    missed: u32,
}

impl Tracker {
    /// The share of the threshold that an object which is shown may fall to.
    pub const HYSTERESIS: f32 = 0.6;
    /// The least overlap of a box with that of the same object one frame before.
    const SAME: f32 = 0.3;
    /// The least overlap of a chosen object that is lost with the one that takes its place.
    const HEIR: f32 = 0.1;
    /// How much of a box is new in each frame.
    const NEW: f32 = 0.6;
    /// How often an object reaches the threshold before it is shown. One with twice the threshold is shown at once.
    const HITS: u32 = 3;
    /// Frames for which an object stays in view that is not found.
    const HELD: u32 = 5;
    /// Frames after which an object that is not found is forgotten. The chosen one stays in view until then.
    const PATIENCE: u32 = 15;

    /// For the objects of one of several sources. Their numbers are those of no other source.
    pub fn of_lane(lane: usize) -> Self {
        Self { next: (lane as u64) << 32, ..Self::default() }
    }

    /// Matches what was found, best first, with the objects of earlier frames. Returns those that are shown, with calmer
    /// boxes, each with its object; those that are not found in this frame come last.
    pub fn follow(&mut self, found: Vec<Found>, threshold: f32) -> Vec<(Followed, Found)> {
        for track in &mut self.tracks {
            track.missed += 1;
        }
        let mut shown = Vec::with_capacity(found.len());
        for object in found {
            let taken = |number: usize| self.tracks.iter().any(|track| track.number == Some(number));
            let free = (1..=self.tracks.len() + 1).find(|number| !taken(*number)).unwrap_or(1);
            let at = self.track_of(&object);
            let track = &mut self.tracks[at];
            track.update(object, threshold);
            if track.shown {
                let number = *track.number.get_or_insert(free);
                shown.push((Followed { id: track.id, number, seen: true }, track.last));
            }
        }
        self.tracks.retain(|track| track.missed <= Self::PATIENCE);
        self.hand_over();
        let missing = self.tracks.iter().filter(|track| track.missed > 0 && track.shown);
        let held = missing.filter(|track| track.missed <= Self::HELD || self.chosen == Some(track.id));
        shown.extend(
            held.filter_map(|track| Some((Followed { id: track.id, number: track.number?, seen: false }, track.last))),
        );
        shown
    }

    /// The position of the track that an object belongs to, perhaps a new one.
    fn track_of(&mut self, object: &Found) -> usize {
        let nearness = |track: &Track| {
            let same = f32::from(u8::from(track.last.class_index == object.class_index));
            track.last.overlap(object) * (0.5 + 0.5 * same)
        };
        let missing = self.tracks.iter().enumerate().filter(|(_, track)| track.missed > 0);
        let nearest = missing.map(|(at, track)| (nearness(track), at)).max_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((_, at)) = nearest.filter(|(nearness, _)| *nearness >= Self::SAME) {
            return at;
        }
        self.tracks.push(Track { id: self.next, number: None, last: *object, hits: 0, shown: false, missed: 0 });
        self.next += 1;
        self.tracks.len() - 1
    }

    /// Chooses the object that has taken the place of a chosen one that is no longer found.
    fn hand_over(&mut self) {
        let Some(chosen) = self.chosen else { return };
        let lost = self.tracks.iter().find(|track| track.id == chosen);
        let Some(lost) = lost else {
            self.chosen = None;
            return;
        };
        let heir = |track: &&Track| {
            track.id != chosen && track.shown && track.missed == 0 && track.last.class_index == lost.last.class_index
        };
        if lost.missed > Self::HELD
            && let Some(heir) =
                self.tracks.iter().filter(heir).find(|track| track.last.overlap(&lost.last) >= Self::HEIR)
        {
            self.chosen = Some(heir.id);
        }
    }
}

impl Track {
    fn update(&mut self, object: Found, threshold: f32) {
        // After a longer absence it is a new object in the same place.
        if self.missed > Tracker::HELD + 1 {
            (self.shown, self.hits) = (false, 0);
        }
        let mut bounds = self.last.bounds;
        for (kept, new) in bounds.iter_mut().zip(object.bounds) {
            *kept += (new - *kept) * Tracker::NEW;
        }
        (self.last, self.missed) = (Found { bounds, ..object }, 0);
        self.hits += u32::from(object.score >= threshold);
        let certain = object.score >= 2.0 * threshold;
        let begins = object.score >= threshold && (certain || self.hits >= Tracker::HITS);
        self.shown = begins || self.shown && object.score >= threshold * Tracker::HYSTERESIS;
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
        assert_eq!(tracker.follow(vec![cup(200.0, 0.5)], 0.25)[0].0, Followed { id: 1, number: 2, seen: true });
    }

    #[test]
    fn a_score_that_wavers_about_the_threshold_does_not_flicker() {
        let mut tracker = Tracker::default();
        let shown = [0.2, 0.26, 0.27, 0.24, 0.26, 0.2, 0.16, 0.1, 0.2]
            .map(|score| tracker.follow(vec![cup(0.0, score)], 0.25).len());
        assert_eq!(shown, [0, 0, 0, 0, 1, 1, 1, 0, 0]);
    }

    #[test]
    fn an_object_that_is_missed_for_a_moment_stays() {
        let mut tracker = Tracker::default();
        let frames = [1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1].map(|seen| vec![cup(0.0, 0.5); seen]);
        let shown = frames.map(|found| tracker.follow(found, 0.25).first().map(|(of, _)| of.seen));
        let (seen, held) = (Some(true), Some(false));
        assert_eq!(shown, [seen, held, held, seen, held, held, held, held, held, None, seen]);
    }

    #[test]
    fn a_chosen_object_that_gets_another_track_stays_chosen() {
        let mut tracker = Tracker::default();
        tracker.follow(vec![cup(0.0, 0.5)], 0.25);
        tracker.chosen = Some(0);
        // It moves too far for one frame.
        let last = (0..10).map(|_| tracker.follow(vec![cup(6.0, 0.5)], 0.25)).last();
        assert_eq!(last.map(|shown| shown.iter().any(|(of, _)| Some(of.id) == tracker.chosen)), Some(true));
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
