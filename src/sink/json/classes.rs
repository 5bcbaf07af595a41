//! The fields of a classification.

use serde::Serialize;

use super::line::Map;
use crate::explain::{ClassPrediction, ExplanationContext};
use crate::model::Region;

/// The predicted class, before the map.
#[derive(Serialize)]
pub struct ClassFields {
    class_index: usize,
    label: String,
    probability: f32,
    logit: f32,
    /// Whether the picture shows any of the model's classes; always true for a model without a familiarity.
    sure: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    familiarity: Option<f32>,
    top: Vec<RankedClass>,
}

/// The other explained classes, after the map.
#[derive(Serialize)]
pub struct OtherClassFields {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<OtherClass>,
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<String>,
}

#[derive(Serialize)]
struct RankedClass {
    class_index: usize,
    label: String,
    probability: f32,
}

#[derive(Serialize)]
struct OtherClass {
    class_index: usize,
    label: String,
    probability: f32,
    logit: f32,
    map: Map,
    #[serde(skip_serializing_if = "Option::is_none")]
    map_file: Option<String>,
}

impl ClassFields {
    pub fn new(prediction: &ClassPrediction, context: &ExplanationContext) -> Self {
        let top = prediction.top.iter().map(|ranked| RankedClass {
            class_index: ranked.class_index,
            label: context.label(ranked.class_index),
            probability: ranked.probability,
        });
        Self {
            class_index: prediction.class_index,
            label: context.label(prediction.class_index),
            probability: prediction.probability,
            logit: prediction.logit,
            sure: prediction.is_sure(),
            familiarity: prediction.familiarity.map(|familiarity| familiarity.value),
            top: top.collect(),
        }
    }
}

impl OtherClassFields {
    /// `map_file` gives the file of the map with an index, where 0 is the map of the predicted class.
    pub fn new(
        prediction: &ClassPrediction,
        context: &ExplanationContext,
        region: &Region,
        map_file: impl Fn(usize) -> Option<String>,
    ) -> Self {
        let others = prediction.others.iter().zip(1..).map(|(other, index)| OtherClass {
            class_index: other.class_index,
            label: context.label(other.class_index),
            probability: other.probability,
            logit: other.logit,
            map: Map::new(&other.map, region),
            map_file: map_file(index),
        });
        Self { others: others.collect(), against: context.against.map(|class| context.label(class)) }
    }
}
