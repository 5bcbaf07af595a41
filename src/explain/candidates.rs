//! The boxes and scores that a detector gives for one picture, and which of them count.

use std::collections::HashSet;

use ndarray::{Array1, ArrayView1, ArrayView2, ArrayViewD, Axis, Ix2};

use super::runner::ModelOutputs;
use crate::cam::ScoreValue;
use crate::error::{Error, Result};
use crate::grad::{Detection, Probability};

/// A box with a class, before it is placed on the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The entry of the flattened logits that it comes from.
    pub entry: i64,
    pub class_index: usize,
    /// The model's own score, 0..=1.
    pub score: f32,
    pub logit: f32,
    /// Left, top, right and bottom in pixels of the model's input.
    pub bounds: [f32; 4],
}

impl Found {
    /// The intersection over union of two boxes, 0..=1.
    pub fn overlap(&self, other: &Self) -> f32 {
        overlap(self.bounds, other.bounds)
    }
}

/// The intersection over union of two boxes of left, top, right and bottom, 0..=1.
pub fn overlap(a: [f32; 4], b: [f32; 4]) -> f32 {
    let side = |low: usize, high: usize| (a[high].min(b[high]) - a[low].max(b[low])).max(0.0);
    let area = |of: [f32; 4]| (of[2] - of[0]) * (of[3] - of[1]);
    let both = side(0, 2) * side(1, 3);
    both / (area(a) + area(b) - both).max(f32::MIN_POSITIVE)
}

/// What a detector gives for one picture.
pub struct Candidates<'o> {
    detection: &'o Detection,
    logits: ArrayViewD<'o, f32>,
    scores: ArrayViewD<'o, f32>,
    /// `[A,4]`, or `[D,4]` where the model chooses.
    boxes: ArrayView2<'o, f32>,
    /// Classes and entries `[D]`, where the model chooses.
    chosen: Option<[ArrayViewD<'o, f32>; 2]>,
}

/// Boxes that are compared with each other. Those of more have the least scores.
const MOST_COMPARED: usize = 4096;

impl<'o> Candidates<'o> {
    /// # Errors
    /// The run gave no detections in the form that they are written in.
    pub fn new(detection: &'o Detection, outputs: &'o ModelOutputs) -> Result<Self> {
        let first = |name: &str| first_of(outputs, name);
        let boxes = first(Detection::BOXES)?.into_dimensionality::<Ix2>();
        let boxes = boxes.map_err(|e| Error::model(Detection::BOXES, e))?;
        let chosen =
            if detection.chosen { Some([first(Detection::LABELS)?, first(Detection::INDICES)?]) } else { None };
        let (logits, scores) = (first(Detection::LOGITS)?, first(Detection::SCORES)?);
        let rows = chosen.as_ref().map_or(detection.entries / detection.columns(), |[labels, _]| labels.len());
        let entries = if detection.chosen { logits.len() } else { detection.entries };
        let all_scores = if detection.chosen { rows } else { detection.entries };
        if logits.len() != entries || boxes.dim() != (rows, 4) || scores.len() != all_scores {
            let problem = format!("a run gave {} logits and {} boxes, not {}", logits.len(), boxes.nrows(), rows);
            return Err(Error::model(Detection::BOXES, problem));
        }
        Ok(Self { detection, logits, scores, boxes, chosen })
    }

    /// The detections of these classes (of all classes if empty) whose score is at least `least`, best first; boxes that
    /// overlap a better one of their class by more than `overlap` are suppressed where the model needs it.
    ///
    /// Boxes and scores that are no numbers, and boxes without an area, are none.
    pub fn above(&self, least: f32, overlap: f32, classes: &[usize], most: usize) -> Vec<Found> {
        let mut found: Vec<Found> = self.of_score(least).collect();
        found.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.entry.cmp(&b.entry)));
        if self.detection.one_class {
            let mut rows = HashSet::new();
            found.retain(|found| rows.insert(found.entry / self.detection.columns() as i64));
        }
        found.retain(|found| counts(found, classes));
        if self.detection.overlapping {
            found.truncate(MOST_COMPARED);
            found = suppressed(&found, overlap, most);
        }
        found.truncate(most);
        found
    }

    /// The detection of these classes with the highest score.
    pub fn best(&self, classes: &[usize]) -> Option<Found> {
        let found = self.of_score(f32::MIN_POSITIVE).filter(|f| counts(f, classes));
        found.max_by(|a, b| a.score.total_cmp(&b.score).then(b.entry.cmp(&a.entry)))
    }

    /// All boxes of a class.
    pub fn of_class(&self, class_index: usize) -> impl Iterator<Item = Found> {
        self.of_score(f32::MIN_POSITIVE).filter(move |found| found.class_index == class_index)
    }

    fn of_score(&self, least: f32) -> Box<dyn Iterator<Item = Found> + '_> {
        let whole = move |(_, score): &(usize, f32)| *score >= least;
        let scores = self.scores.as_slice().unwrap_or_default().iter().copied().enumerate().filter(whole);
        if let Some([labels, entries]) = &self.chosen {
            // A row without a class or an entry is none.
            let value =
                |of: &ArrayViewD<f32>, row: usize| of.as_slice().and_then(|of| of.get(row).copied()).unwrap_or(-1.0);
            return Box::new(scores.filter_map(move |(row, score)| {
                let (label, entry) = (value(labels, row), value(entries, row));
                let (label, entry) = (label >= 0.0 && entry >= 0.0).then_some((label as usize, entry as usize))?;
                self.found(entry, label, score, row)
            }));
        }
        let columns = self.detection.columns();
        Box::new(scores.filter_map(move |(entry, score)| {
            let class = self.detection.class_of(entry % columns)?;
            self.found(entry, class, score, entry / columns)
        }))
    }

    fn found(&self, entry: usize, class_index: usize, score: f32, row: usize) -> Option<Found> {
        let bounds = [0, 1, 2, 3].map(|side| self.boxes[[row, side]]);
        let logit = *self.logits.as_slice()?.get(entry)?;
        let sound = bounds.iter().all(|side| side.is_finite()) && bounds[2] > bounds[0] && bounds[3] > bounds[1];
        (sound && class_index < self.detection.classes.max(1)).then_some(Found {
            entry: entry as i64,
            class_index,
            score,
            logit,
            bounds,
        })
    }
}

/// An output of the first picture.
fn first_of<'o>(outputs: &'o ModelOutputs, name: &str) -> Result<ArrayViewD<'o, f32>> {
    let all = outputs.floats(name)?;
    match all.shape().first() {
        None | Some(0) => Err(Error::model(name, "the run gave an empty output")),
        Some(_) => Ok(all.index_axis_move(Axis(0), 0)),
    }
}

fn counts(found: &Found, classes: &[usize]) -> bool {
    classes.is_empty() || classes.contains(&found.class_index)
}

/// Greedy suppression within each class (as `torchvision.ops.batched_nms`) of boxes in falling order of their scores.
fn suppressed(found: &[Found], overlap: f32, most: usize) -> Vec<Found> {
    let mut kept: Vec<Found> = Vec::new();
    for candidate in found {
        if kept.len() == most {
            break;
        }
        let hides = |better: &Found| better.class_index == candidate.class_index && better.overlap(candidate) > overlap;
        if !kept.iter().any(hides) {
            kept.push(*candidate);
        }
    }
    kept
}

/// The scores of single entries of a detector's flattened logits.
pub struct EntryScores {
    logits: Array1<f32>,
    probability: Probability,
    /// The entries of an anchor.
    columns: usize,
}

impl EntryScores {
    /// From a row of logits.
    pub fn new(detection: &Detection, row: ArrayView1<f32>) -> Self {
        Self { logits: row.to_owned(), probability: detection.probability, columns: detection.columns() }
    }

    /// # Errors
    /// The run gave no logits.
    pub fn of_outputs(detection: &Detection, outputs: &ModelOutputs) -> Result<Self> {
        let logits = first_of(outputs, Detection::LOGITS)?;
        let logits = logits.iter().copied().collect();
        Ok(Self { logits, probability: detection.probability, columns: detection.columns() })
    }

    /// The sum of the logits, and the mean of the probabilities of the classes alone.
    pub fn of_entries(&self, entries: &[i64]) -> ScoreValue {
        let each = entries.iter().filter_map(|&entry| usize::try_from(entry).ok()).filter(|e| *e < self.logits.len());
        let (mut sum, mut probabilities) = (0.0, 0.0);
        for entry in each {
            sum += self.logits[entry];
            probabilities += self.probability_of(entry);
        }
        ScoreValue { logit: sum, probability: probabilities / entries.len().max(1) as f32 }
    }

    fn probability_of(&self, entry: usize) -> f32 {
        let logit = self.logits[entry];
        if self.probability != Probability::Softmax {
            return 1.0 / (1.0 + (-logit).exp());
        }
        let first = entry / self.columns * self.columns;
        let last = (first + self.columns).min(self.logits.len());
        1.0 / self.logits.iter().skip(first).take(last - first).map(|other| (other - logit).exp()).sum::<f32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(class_index: usize, score: f32, bounds: [f32; 4]) -> Found {
        Found { entry: 0, class_index, score, logit: 0.0, bounds }
    }

    #[test]
    fn the_overlap_is_the_intersection_over_the_union() {
        assert!((overlap([0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 3.0, 2.0]) - 1.0 / 3.0).abs() < 1e-6);
        assert!(overlap([0.0, 0.0, 1.0, 1.0], [1.0, 0.0, 2.0, 1.0]) < 1e-6);
    }

    #[test]
    fn only_weaker_boxes_of_the_same_class_are_suppressed() {
        let near = [1.0, 0.0, 11.0, 10.0];
        let all = [found(0, 0.9, [0.0, 0.0, 10.0, 10.0]), found(0, 0.8, near), found(1, 0.7, near)];
        let kept: Vec<(usize, f32)> = suppressed(&all, 0.45, 16).iter().map(|f| (f.class_index, f.score)).collect();
        assert_eq!(kept, [(0, 0.9), (1, 0.7)]);
        assert_eq!(suppressed(&all, 0.45, 1).len(), 1);
    }
}
