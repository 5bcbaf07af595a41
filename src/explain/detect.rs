//! Explaining what a detector finds: one run forward, then one backward for each map.

use ndarray::{Array2, ArrayViewD};
use tracing::trace_span;

use super::attribution::{Aids, Attribution, Source};
use super::candidates::{Candidates, Found};
use super::explanation::Explanation;
use super::prediction::{DetectedObject, DetectionPrediction, Prediction};
use super::reading::Explained;
use super::runner::ModelRunner;
use super::tracking::{Followed, Tracker};
use crate::cam::CamMap;
use crate::error::Result;
use crate::grad::Detection;
use crate::model::{DetectionOptions, Region, Subject};

/// What is found in a picture, each perhaps with the number of its object.
struct Choice {
    found: Vec<(Option<Followed>, Found)>,
    /// The best box below the threshold, where none reaches it.
    near_miss: Option<Found>,
    /// The position of the one that the first map explains; without one, that map explains all.
    chosen: Option<usize>,
    /// Whether each gets a map of its own.
    each: bool,
}

/// A box with a lower score is no near miss.
const LEAST_NEAR_MISS: f32 = 0.05;

impl Attribution {
    pub(super) fn explain_detections(
        &self,
        detection: &Detection,
        model: &mut ModelRunner,
        mut aids: Aids,
        tensor: ArrayViewD<f32>,
        seen: Region,
    ) -> Result<Explanation> {
        let (outputs, mut backward) = model.run_forward(tensor.view(), &[])?;
        let choice = self.choose(&Candidates::new(detection, &outputs)?, aids.tracker.as_deref_mut());
        let asked = choice.asked();
        let _making = trace_span!("map").entered();
        let mut maps = Vec::with_capacity(asked.len());
        if self.method.needs().reruns {
            drop((outputs, backward));
            for entries in asked {
                let source = Source::Rerun { model: &mut *model, tensor: tensor.view() };
                maps.push(self.map_of(Explained::Entries(&entries), &mut aids, source)?);
            }
        } else {
            for entries in asked {
                maps.push(self.map_after(
                    &outputs,
                    backward.as_deref_mut(),
                    Explained::Entries(&entries),
                    &mut aids,
                )?);
            }
        }
        let mut maps = maps.into_iter();
        let (rows, columns) = (self.grid.height, self.grid.width);
        let map = maps.next().unwrap_or_else(|| CamMap::new(Array2::zeros((rows, columns))));
        let region = self.region(seen, map.values.dim());
        let prediction = Prediction::Detections(choice.into_prediction(maps, seen, self.input));
        Ok(Explanation::new(prediction, map, region, seen))
    }

    /// The map of one entry of the flattened logits.
    ///
    /// # Errors
    /// The runtime fails, or the explanation is cancelled.
    pub fn map_of_entry(
        &self,
        model: &mut ModelRunner,
        mut aids: Aids,
        tensor: ArrayViewD<f32>,
        entry: i64,
    ) -> Result<CamMap> {
        let explained = Explained::Entries(std::slice::from_ref(&entry));
        if self.method.needs().reruns {
            return self.map_of(explained, &mut aids, Source::Rerun { model, tensor });
        }
        let (outputs, backward) = model.run_forward(tensor, &[])?;
        self.map_after(&outputs, backward, explained, &mut aids)
    }

    fn choose(&self, candidates: &Candidates, tracker: Option<&mut Tracker>) -> Choice {
        let DetectionOptions { threshold, overlap, most, each } = self.detections;
        let classes: Vec<usize> = self
            .subjects
            .iter()
            .filter_map(|subject| match subject {
                Subject::Class(class) => Some(*class),
                Subject::Rank(_) => None,
            })
            .collect();
        let shown: Vec<(Option<Followed>, Found)>;
        let mut chosen = None;
        if let Some(tracker) = tracker {
            let found = candidates.above(threshold * Tracker::HYSTERESIS, overlap, &classes, most);
            let followed = tracker.follow(found, threshold);
            chosen = tracker.chosen.and_then(|id| followed.iter().position(|(of, _)| of.id == id));
            shown = followed.into_iter().map(|(of, found)| (Some(of), found)).take(most).collect();
            chosen = chosen.filter(|chosen| *chosen < shown.len());
        } else {
            let found = candidates.above(threshold, overlap, &classes, most);
            shown = found.into_iter().map(|found| (None, found)).collect();
        }
        let near_miss = if shown.is_empty() { candidates.best(&classes) } else { None };
        Choice {
            found: shown,
            near_miss: near_miss.filter(|found| (LEAST_NEAR_MISS..threshold).contains(&found.score)),
            chosen,
            each,
        }
    }
}

impl Choice {
    /// The entries of each map that is made: first those of the map of all or of the chosen one.
    fn asked(&self) -> Vec<Vec<i64>> {
        let all: Vec<i64> = match (self.chosen, self.near_miss) {
            (Some(chosen), _) => self.found.get(chosen).map(|(_, found)| found.entry).into_iter().collect(),
            (None, Some(near_miss)) => vec![near_miss.entry],
            (None, None) => self.found.iter().map(|(_, found)| found.entry).collect(),
        };
        let each = self.found.iter().filter(|_| self.each).map(|(_, found)| vec![found.entry]);
        std::iter::once(all).filter(|all| !all.is_empty()).chain(each).collect()
    }

    /// The prediction with the maps of single detections. `seen` is the part of the picture that the input covers.
    fn into_prediction(
        self,
        mut maps: impl Iterator<Item = CamMap>,
        seen: Region,
        input: [usize; 2],
    ) -> DetectionPrediction {
        let object = |(followed, found): (Option<Followed>, Found), map: Option<CamMap>| {
            let Found { entry, class_index, score, logit, bounds } = found;
            let bounds = seen.of_bounds(bounds, input);
            let (object, number) = (followed.map(|of| of.id), followed.map(|of| of.number));
            let seen = followed.is_none_or(|of| of.seen);
            DetectedObject { class_index, probability: score, logit, bounds, entry, object, number, seen, map }
        };
        let near_miss = self.near_miss.map(|found| object((None, found), None));
        let detections = self.found.into_iter().map(|found| object(found, maps.next())).collect();
        DetectionPrediction { detections, near_miss, chosen: self.chosen }
    }
}
