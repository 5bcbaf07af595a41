//! The fields of a detector.

use serde::Serialize;

use super::line::{Bounds, Map};
use crate::explain::{DetectedObject, DetectionPrediction, ExplanationContext};
use crate::model::Region;

/// All detections, after the map.
#[derive(Serialize)]
pub struct DetectionFields {
    detections: Vec<DetectionEntry>,
    /// The best box below the threshold, where none reaches it. The map explains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    near_miss: Option<Box<DetectionEntry>>,
}

#[derive(Serialize)]
struct DetectionEntry {
    class_index: usize,
    label: String,
    probability: f32,
    logit: f32,
    #[serde(rename = "box")]
    bounds: Bounds,
    /// The value of the input `detection_index` of an augmented model.
    detection_index: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<u64>,
    /// The number by which a viewer chooses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<usize>,
    /// Only for an object that is held though it is not found in this picture.
    #[serde(skip_serializing_if = "Clone::clone")]
    seen: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    map: Option<Map>,
    #[serde(skip_serializing_if = "Option::is_none")]
    map_file: Option<String>,
}

impl DetectionFields {
    /// `map_file` gives the file of the map with an index, where 0 is the map of all detections. The maps cover `region`.
    pub fn new(
        prediction: &DetectionPrediction,
        context: &ExplanationContext,
        region: &Region,
        map_file: impl Fn(usize) -> Option<String>,
    ) -> Self {
        let entry = |object: &DetectedObject, index: usize| DetectionEntry {
            class_index: object.class_index,
            label: context.label(object.class_index),
            probability: object.probability,
            logit: object.logit,
            bounds: Bounds::from(&object.bounds),
            detection_index: object.entry,
            object: object.object,
            number: object.number,
            seen: object.seen,
            map: object.map.as_ref().map(|map| Map::new(map, region)),
            map_file: object.map.as_ref().and_then(|_| map_file(index)),
        };
        Self {
            detections: prediction.detections.iter().zip(1..).map(|(object, index)| entry(object, index)).collect(),
            near_miss: prediction.near_miss.as_ref().map(|object| Box::new(entry(object, 0))),
        }
    }
}
