//! The scores of the classes of all anchors.

use std::ops::Range;

use ndarray::{ArrayD, Axis, Slice};

use super::find::Reader;
use crate::error::Result;
use crate::grad::task::{Background, Probability};
use crate::grad::value::Value;

/// The scores `[N,A,K]` of the classes of all anchors.
pub struct Classes<'w> {
    pub logits: Value<'w>,
    pub scores: Value<'w>,
    pub probability: Probability,
    pub background: Option<usize>,
    pub notices: Vec<String>,
}

/// The scores as the model gives them.
pub struct ClassScores<'w, 'm> {
    /// The scores `[N,A,K]`.
    pub scores: Value<'w>,
    /// How the model made them from logits; `None` if it gives the logits.
    pub ending: Option<Probability>,
    /// An output with the scores, whose classes lie along `axis`.
    pub output: &'m str,
    pub axis: usize,
    /// The number of classes, with that of a background.
    pub columns: usize,
    /// Whether there is a row for each query, and not for each place.
    pub queries: bool,
}

impl<'w, 'm> Reader<'w, 'm> {
    /// The scores of classes, and the class among them that stands for "no object".
    ///
    /// # Errors
    /// The runtime rejects the model.
    pub fn classes(&self, logits: Value<'w>, given: &ClassScores<'w, 'm>) -> Result<Classes<'w>> {
        let ClassScores { ending, columns, queries, .. } = *given;
        let (mut notices, mut probability) = (Vec::new(), ending);
        let share = ending.is_none()
            && self.hints.reading.scores.is_none()
            && self.is_within(given.output, given.axis, 0..columns, 0.0)?;
        if share {
            probability = Some(Probability::Sigmoid);
            let output = given.output;
            notices.push(format!("the scores in '{output}' are from 0 to 1, and taken as they are; --scores chooses"));
        } else if ending.is_none() {
            // The families that sample maps at learnt points score each class for itself.
            let softmax = queries && !self.samples_grids() && columns > 1;
            let guess = if softmax { Probability::Softmax } else { Probability::Sigmoid };
            probability = self.hints.reading.scores.or(Some(guess));
            if queries && self.hints.reading.scores.is_none() {
                let because = match softmax {
                    true => "it has no deformable attention",
                    false if self.samples_grids() => "it has deformable attention",
                    false => "it has a single class",
                };
                let guess = guess.name();
                notices.push(format!("scores are a {guess} of the logits, guessed since {because}; --scores chooses"));
            }
        }
        let probability = probability.unwrap_or(Probability::Sigmoid);
        let scores = match (ending, probability) {
            (Some(_), _) => given.scores,
            (None, _) if share => given.scores,
            (None, Probability::Softmax) => logits.softmax(-1),
            (None, _) => logits.sigmoid(),
        };
        let background = match probability {
            Probability::Softmax if !self.leaves_out_classes(given) => {
                let (background, notice) = self.background(given)?;
                notices.extend(notice);
                Some(background.entry(columns))
            }
            _ => None,
        };
        Ok(Classes { logits, scores, probability, background, notices })
    }

    /// How a number was made from its logit; `None` where it is the logit.
    pub fn probability(&self, tensor: &'m str, at: &[usize]) -> Option<Probability> {
        let origin = self.moves.origin(tensor, at);
        match self.moves.before_probability(origin.tensor) {
            Some((_, true)) => Some(Probability::Softmax),
            Some((_, false)) => Some(Probability::Sigmoid),
            None => self.probability(self.moves.probable_factor(origin.tensor)?, &origin.at),
        }
    }

    /// An output with one number for each anchor of a picture, by which its scores are multiplied: `[1,A,1]`.
    pub fn factor(&self, output: &'m str) -> Result<Value<'w>> {
        let shape = self.moves.shape(output);
        let rows = self.writer.tensor(output).reshape(&[1, -1, 1]);
        self.as_share(rows, output, &vec![0; shape.len()], 0, 0..shape[0])
    }

    /// Some columns of an output, whose number at `at` is one of them, as probabilities: as they are, or their sigmoid.
    pub fn as_share(
        &self,
        value: Value<'w>,
        output: &'m str,
        at: &[usize],
        axis: usize,
        columns: Range<usize>,
    ) -> Result<Value<'w>> {
        let is_share = self.probability(output, at).is_some() || self.is_within(output, axis, columns, 0.0)?;
        Ok(if is_share { value } else { value.sigmoid() })
    }

    /// Whether some columns of an output are from `least` to 1 in a run on noise.
    pub fn is_within(&self, output: &str, axis: usize, columns: Range<usize>, least: f32) -> Result<bool> {
        let values = (self.hints.sample)(output)?;
        let columns = values.slice_axis(Axis(axis), Slice::from(columns));
        Ok(!columns.is_empty() && columns.iter().all(|value| (least..=1.0).contains(value)))
    }

    /// Whether the softmax that made the scores was of more classes, such as one of no object.
    fn leaves_out_classes(&self, given: &ClassScores<'w, 'm>) -> bool {
        let ClassScores { output, columns, .. } = *given;
        let softmax = self.moves.origin_of_first(output);
        let node = self.moves.index.producer_node(softmax).filter(|node| node.op() == "Softmax");
        let shape = self.moves.shape(softmax);
        let axis = node.map(|node| node.int("axis").unwrap_or(-1).rem_euclid(shape.len().max(1) as i64));
        let length = axis.and_then(|axis| shape.get(usize::try_from(axis).ok()?));
        length.is_some_and(|length| *length > columns)
    }

    /// Which class of a softmax stands for "no object": as an option or the labels say, or else a guess, with a notice.
    fn background(&self, given: &ClassScores) -> Result<(Background, Option<String>)> {
        let of_labels =
            || Background::of_labels(self.hints.labels).filter(|_| self.hints.labels.len() == given.columns);
        if let Some(stated) = self.hints.reading.background.or_else(of_labels) {
            return Ok((stated, None));
        }
        let (guess, because) = match self.likelier_on_noise(given)? {
            _ if given.queries => (Background::Last, "as in DETR"),
            Some(likelier) => (likelier, "since it is the likelier of the first and the last on noise"),
            None => (Background::First, "as in SSD"),
        };
        let guess_name = guess.name();
        let notice =
            format!("the {guess_name} class stands for \"no object\", guessed {because}; --background chooses");
        Ok((guess, Some(notice)))
    }

    /// Which of the first and the last class is clearly likelier in a run on noise, in which there is nothing to detect.
    fn likelier_on_noise(&self, given: &ClassScores) -> Result<Option<Background>> {
        const CLEARLY: f32 = 2.0;
        let ClassScores { ending, output, axis, columns, queries, .. } = *given;
        if queries {
            return Ok(None);
        }
        let rows = (self.hints.sample)(output)?;
        let mut rows = rows.slice_axis(Axis(axis), Slice::from(..columns)).to_owned();
        if ending.is_none() {
            softmax(&mut rows, Axis(axis));
        }
        let share = |of: Background| rows.index_axis(Axis(axis), of.entry(columns)).mean().unwrap_or_default();
        let (first, last) = (share(Background::First), share(Background::Last));
        Ok(match (first > CLEARLY * last, last > CLEARLY * first) {
            (true, _) => Some(Background::First),
            (_, true) => Some(Background::Last),
            _ => None,
        })
    }
}

fn softmax(logits: &mut ArrayD<f32>, axis: Axis) {
    for mut lane in logits.lanes_mut(axis) {
        let most = lane.fold(f32::NEG_INFINITY, |most, logit| most.max(*logit));
        lane.mapv_inplace(|logit| (logit - most).exp());
        let sum = lane.sum();
        lane.mapv_inplace(|share| share / sum);
    }
}
