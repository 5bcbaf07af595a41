//! What a detector says.

use super::ranked::{RankedLabel, percent};
use crate::cam::CamMap;
use crate::explain::ExplanationContext;
use crate::model::Region;

/// What a detector says.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DetectionPrediction {
    /// What is found, best first.
    pub detections: Vec<DetectedObject>,
    /// The best box below the threshold, where none reaches it. The first map explains it then.
    pub near_miss: Option<DetectedObject>,
    /// The position of the detection that the first map explains; without one, that map explains the sum of all.
    pub chosen: Option<usize>,
}

/// A box with a class.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DetectedObject {
    pub class_index: usize,
    /// The model's own score, 0..=1.
    pub probability: f32,
    /// The logit of the class alone.
    pub logit: f32,
    /// The box on the picture, in pixels.
    pub bounds: Region,
    /// The entry of the model's flattened logits that it comes from: the value of the input `detection_index`.
    pub entry: i64,
    /// The number of the object that is followed from picture to picture, where objects are followed.
    pub object: Option<u64>,
    /// Its number among the objects in view, counted from 1.
    pub number: Option<usize>,
    /// Whether it is found in this picture. An object that is followed stays for a moment when it is not found.
    pub seen: bool,
    /// The map of this detection alone, if it was asked for.
    pub map: Option<CamMap>,
}

impl DetectionPrediction {
    /// How many there are of each class, the most certain class first.
    pub(super) fn caption(&self, map: &CamMap, context: &ExplanationContext) -> String {
        let evidence = map.absence();
        let certain = |object: &DetectedObject| {
            format!("{} {:.0} %", context.label(object.class_index), 100.0 * object.probability)
        };
        if let Some(chosen) = self.chosen.and_then(|chosen| self.detections.get(chosen)) {
            return format!("{}{evidence}", certain(chosen));
        }
        if let Some(near_miss) = &self.near_miss {
            return format!("near miss: {}{evidence}", certain(near_miss));
        }
        let mut counts: Vec<(usize, usize)> = Vec::new();
        for object in &self.detections {
            match counts.iter_mut().find(|(class, _)| *class == object.class_index) {
                Some((_, count)) => *count += 1,
                None => counts.push((object.class_index, 1)),
            }
        }
        let counted = counts.iter().map(|(class, count)| match count {
            1 => context.label(*class),
            count => format!("{count} {}", context.label(*class)),
        });
        match counted.collect::<Vec<_>>() {
            nothing if nothing.is_empty() => "nothing found  no evidence".to_owned(),
            counted => format!("{}{evidence}", counted.join(", ")),
        }
    }

    pub(super) fn ranking(&self, context: &ExplanationContext) -> Vec<RankedLabel> {
        let objects = self.detections.iter().enumerate();
        let lines = objects.map(|(at, object)| RankedLabel {
            label: match object.number {
                Some(number) => format!("{number} {}", context.label(object.class_index)),
                None => context.label(object.class_index),
            },
            share: object.probability,
            text: percent(object.probability),
            explained: self.chosen.is_none_or(|chosen| chosen == at),
        });
        lines.collect()
    }
}
