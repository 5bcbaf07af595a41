//! The fields of a model of quantities.

use serde::Serialize;

use super::line::{Map, RankedEntry};
use crate::explain::{ExplanationContext, ValuePrediction};
use crate::model::Region;

/// The explained value, before the map.
#[derive(Serialize)]
pub struct ValueFields {
    class_index: usize,
    label: String,
    /// Always null: a quantity has none.
    probability: Option<f32>,
    logit: f32,
    value: f32,
    /// All values, in the order of the output.
    values: Vec<f32>,
    /// Always null: the model does not tell.
    sure: Option<bool>,
    top: Vec<RankedEntry>,
}

/// The other explained values, after the map.
#[derive(Serialize)]
pub struct OtherValueFields {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<OtherValue>,
}

#[derive(Serialize)]
struct OtherValue {
    class_index: usize,
    label: String,
    probability: Option<f32>,
    logit: f32,
    value: f32,
    map: Map,
    #[serde(skip_serializing_if = "Option::is_none")]
    map_file: Option<String>,
}

impl ValueFields {
    pub fn new(prediction: &ValuePrediction, context: &ExplanationContext) -> Self {
        let value = prediction.value();
        Self {
            class_index: prediction.index,
            label: context.label(prediction.index),
            probability: None,
            logit: value,
            value,
            values: prediction.values.clone(),
            sure: None,
            top: Vec::new(),
        }
    }
}

impl OtherValueFields {
    /// `map_file` gives the file of the map with an index, where 0 is the first map. The maps cover `region`.
    pub fn new(
        prediction: &ValuePrediction,
        context: &ExplanationContext,
        region: &Region,
        map_file: impl Fn(usize) -> Option<String>,
    ) -> Self {
        let value = |index: usize| prediction.values.get(index).copied().unwrap_or(f32::NAN);
        let others = prediction.others.iter().zip(1..).map(|((value_index, map), index)| OtherValue {
            class_index: *value_index,
            label: context.label(*value_index),
            probability: None,
            logit: value(*value_index),
            value: value(*value_index),
            map: Map::new(map, region),
            map_file: map_file(index),
        });
        Self { others: others.collect() }
    }
}
