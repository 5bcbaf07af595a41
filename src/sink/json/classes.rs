//! The fields of a classification.

use serde::Serialize;

use super::line::{Map, RankedEntry};
use crate::explain::{ClassPrediction, ExplanationContext};
use crate::model::Region;

/// The predicted class, before the map.
#[derive(Serialize)]
pub struct ClassFields {
    class_index: usize,
    label: String,
    /// Null for a cosine, which is no probability.
    probability: Option<f32>,
    logit: f32,
    /// Whether the picture shows any of the model's classes; null for a model that does not tell.
    sure: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    familiarity: Option<f32>,
    top: Vec<RankedEntry>,
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
struct OtherClass {
    class_index: usize,
    label: String,
    probability: Option<f32>,
    logit: f32,
    map: Map,
    #[serde(skip_serializing_if = "Option::is_none")]
    map_file: Option<String>,
}

impl ClassFields {
    pub fn new(prediction: &ClassPrediction, context: &ExplanationContext) -> Self {
        let probability = |probability: f32| (!prediction.cosine).then_some(probability);
        let top = prediction.top.iter();
        let top = top.map(|ranked| {
            if prediction.cosine {
                RankedEntry::of_cosine(ranked.class_index, ranked.logit, context)
            } else {
                RankedEntry::new(ranked.class_index, ranked.probability, context)
            }
        });
        Self {
            class_index: prediction.class_index,
            label: context.label(prediction.class_index),
            probability: probability(prediction.probability),
            logit: prediction.logit,
            sure: prediction.familiarity.map(|_| prediction.is_sure()),
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
            probability: (!prediction.cosine).then_some(other.probability),
            logit: other.logit,
            map: Map::new(&other.map, region),
            map_file: map_file(index),
        });
        Self { others: others.collect(), against: context.against.map(|class| context.label(class)) }
    }
}
