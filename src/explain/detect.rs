//! Explaining what a detector finds: one run forward, then one backward for each map.

use ndarray::ArrayViewD;
use tracing::trace_span;

use super::attribution::{Aids, Attribution, Source};
use super::candidates::{Candidates, Found};
use super::explanation::Explanation;
use super::prediction::{DetectedObject, DetectionPrediction, Prediction};
use super::reading::Explained;
use super::runner::{BackwardRunner, GradientsView, ModelOutputs, ModelRunner};
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
        let (outputs, backward) = model.run_forward(tensor.view(), &[])?;
        let choice = self.choose(&Candidates::new(detection, &outputs)?, aids.tracker.as_deref_mut());
        let asked = choice.asked(detection.chosen);
        let _making = trace_span!("map").entered();
        let mut maps = Vec::with_capacity(asked.len());
        if self.method.needs().reruns {
            drop((outputs, backward));
            for entries in asked {
                if entries.is_empty() {
                    maps.push(self.empty_map());
                    continue;
                }
                let source = Source::Rerun { model: &mut *model, tensor: tensor.view() };
                maps.push(self.map_of(Explained::Entries(&entries), &mut aids, source)?);
            }
        } else {
            maps = self.maps_after(&outputs, backward, &asked, &mut aids)?;
        }
        let mut maps = maps.into_iter();
        let map = maps.next().unwrap_or_else(|| self.empty_map());
        let region = self.region(seen, map.values.dim());
        let prediction = Prediction::Detections(choice.into_prediction(maps, seen, self.input));
        Ok(Explanation::new(prediction, map, region, seen))
    }

    /// The map of each list of entries after a run of the model. Windows are run once for all.
    fn maps_after(
        &self,
        outputs: &ModelOutputs,
        mut backward: Option<&mut BackwardRunner>,
        lists: &[Vec<i64>],
        aids: &mut Aids,
    ) -> Result<Vec<CamMap>> {
        let lists = lists.iter().map(Vec::as_slice);
        if let Some(BackwardRunner::Windows(windows)) = backward.as_deref_mut().filter(|_| self.method.needs().gradient)
        {
            let gradients = windows.gradients(outputs, &lists.clone().collect::<Vec<_>>())?;
            let each = lists.zip(&gradients).map(|(entries, layers)| {
                let gradients = GradientsView::Layers(layers);
                self.map_of(Explained::Entries(entries), aids, Source::Run { outputs, gradients, row: 0 })
            });
            return each.collect();
        }
        lists
            .map(|entries| self.map_after(outputs, backward.as_deref_mut(), Explained::Entries(entries), aids))
            .collect()
    }

    /// The map of one entry of the flattened logits. It is empty where the model chooses boxes and chose none of this number.
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
        let entries = outputs.floats(Detection::LOGITS)?.len();
        if usize::try_from(entry).is_ok_and(|entry| entry >= entries) {
            return Ok(self.empty_map());
        }
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
    /// The entries of each map that is made: first those of the map of all or of the chosen one. An object that is missed for
    /// a moment keeps its entry, but not where the model chooses boxes (`of_one_picture`): its map is then empty.
    fn asked(&self, of_one_picture: bool) -> Vec<Vec<i64>> {
        if self.found.is_empty() && self.near_miss.is_none() {
            return Vec::new();
        }
        let entry = |(followed, found): &(Option<Followed>, Found)| {
            (!of_one_picture || followed.is_none_or(|of| of.seen)).then_some(found.entry)
        };
        let all: Vec<i64> = match (self.chosen, self.near_miss) {
            (Some(chosen), _) => self.found.get(chosen).and_then(entry).into_iter().collect(),
            (None, Some(near_miss)) => vec![near_miss.entry],
            (None, None) => self.found.iter().filter_map(entry).collect(),
        };
        let each = self.found.iter().filter(|_| self.each).map(|found| entry(found).into_iter().collect());
        std::iter::once(all).chain(each).collect()
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
