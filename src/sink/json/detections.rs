//! The fields of a detector.

use serde::Serialize;

use super::line::{Bounds, Map, RankedEntry};
use crate::explain::{DetectedObject, DetectionPrediction, ExplanationContext};
use crate::model::Region;

/// The best detection, before the map; null where nothing is found.
#[derive(Serialize)]
pub struct BestFields {
    class_index: Option<usize>,
    label: Option<String>,
    probability: Option<f32>,
    logit: Option<f32>,
    /// Always null: a detector does not tell whether it knows what it sees.
    sure: Option<bool>,
    top: Vec<RankedEntry>,
}

/// All detections, after the map.
#[derive(Serialize)]
pub struct DetectionFields {
    detections: Vec<DetectionEntry>,
    /// The best box below the threshold, where none reaches it. The map explains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    near_miss: Option<DetectionEntry>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    map: Option<Map>,
    #[serde(skip_serializing_if = "Option::is_none")]
    map_file: Option<String>,
}

impl BestFields {
    pub fn new(prediction: &DetectionPrediction, context: &ExplanationContext) -> Self {
        let best = prediction.detections.first();
        let top = prediction.detections.iter().take(5);
        let top = top.map(|object| RankedEntry::new(object.class_index, object.probability, context));
        Self {
            class_index: best.map(|object| object.class_index),
            label: best.map(|object| context.label(object.class_index)),
            probability: best.map(|object| object.probability),
            logit: best.map(|object| object.logit),
            sure: None,
            top: top.collect(),
        }
    }
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
            map: object.map.as_ref().map(|map| Map::new(map, region)),
            map_file: object.map.as_ref().and_then(|_| map_file(index)),
        };
        Self {
            detections: prediction.detections.iter().zip(1..).map(|(object, index)| entry(object, index)).collect(),
            near_miss: prediction.near_miss.as_ref().map(|object| entry(object, 0)),
        }
    }
}
