//! The fields of a segmenter.

use serde::Serialize;

use super::line::Map;
use crate::explain::{ExplanationContext, SegmentPrediction};
use crate::model::Region;

/// All segments, after the map.
#[derive(Serialize)]
pub struct SegmentFields {
    segments: Vec<SegmentEntry>,
}

#[derive(Serialize)]
struct SegmentEntry {
    class_index: usize,
    label: String,
    share: f32,
    probability: f32,
    logit: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    map: Option<Map>,
    #[serde(skip_serializing_if = "Option::is_none")]
    map_file: Option<String>,
}

impl SegmentFields {
    /// `map_file` gives the file of the map with an index, where 0 is the first map. The maps cover `region`.
    pub fn new(
        prediction: &SegmentPrediction,
        context: &ExplanationContext,
        region: &Region,
        map_file: impl Fn(usize) -> Option<String>,
    ) -> Self {
        let segments = prediction.segments.iter().zip(1..).map(|(segment, index)| SegmentEntry {
            class_index: segment.class_index,
            label: context.label(segment.class_index),
            share: segment.share,
            probability: segment.probability,
            logit: segment.logit,
            map: segment.map.as_ref().map(|map| Map::new(map, region)),
            map_file: segment.map.as_ref().and_then(|_| map_file(index)),
        });
        Self { segments: segments.collect() }
    }
}
