//! One line: the fields that all tasks share, around the fields of the model's task.

use serde::Serialize;

use super::classes::{ClassFields, OtherClassFields};
use super::detections::DetectionFields;
use super::segments::SegmentFields;
use super::values::{OtherValueFields, ValueFields};
use crate::cam::{CamMap, NoEvidence};
use crate::explain::{DetectionPrediction, Explanation, ExplanationContext, Prediction, SegmentPrediction};
use crate::media::Frame;
use crate::model::Region;
use crate::sink::boxes::HotBox;

/// The JSON object of one explained frame. The order of the fields is part of the format.
#[derive(Serialize)]
pub struct Line<'a> {
    frame: u64,
    pts_us: i64,
    pub(super) input: &'a str,
    width: u32,
    height: u32,
    task: &'static str,
    #[serde(flatten)]
    prediction: PredictionFields,
    map: Map,
    #[serde(skip_serializing_if = "Option::is_none")]
    map_file: Option<String>,
    #[serde(flatten)]
    others: OtherFields,
    #[serde(skip_serializing_if = "Option::is_none")]
    boxes: Option<Vec<HotBox>>,
    method: &'a str,
    layer: &'a str,
    model: &'a str,
}

/// What the model predicts, before the map.
#[derive(Serialize)]
#[serde(untagged)]
enum PredictionFields {
    Classes(ClassFields),
    Found(FoundFields),
    Values(ValueFields),
}

/// What else is explained, after the map.
#[derive(Serialize)]
#[serde(untagged)]
enum OtherFields {
    Classes(OtherClassFields),
    Detections(DetectionFields),
    Segments(SegmentFields),
    Values(OtherValueFields),
}

/// The best detection or the explained segment, before the map; null where nothing is found.
#[derive(Serialize)]
struct FoundFields {
    class_index: Option<usize>,
    label: Option<String>,
    probability: Option<f32>,
    logit: Option<f32>,
    /// Always null: such a model does not tell whether it knows what it sees.
    sure: Option<bool>,
    top: Vec<RankedEntry>,
}

impl FoundFields {
    /// From the class, probability and logit of what comes first, and of everything that is found, best first.
    fn new(
        first: Option<(usize, f32, f32)>,
        all: impl Iterator<Item = (usize, f32)>,
        context: &ExplanationContext,
    ) -> Self {
        let top = all.take(5).map(|(class_index, probability)| RankedEntry::new(class_index, probability, context));
        Self {
            class_index: first.map(|(class_index, ..)| class_index),
            label: first.map(|(class_index, ..)| context.label(class_index)),
            probability: first.map(|(_, probability, _)| probability),
            logit: first.map(|(.., logit)| logit),
            sure: None,
            top: top.collect(),
        }
    }

    fn of_detections(found: &DetectionPrediction, context: &ExplanationContext) -> Self {
        let first = found.detections.first().map(|object| (object.class_index, object.probability, object.logit));
        Self::new(first, found.detections.iter().map(|object| (object.class_index, object.probability)), context)
    }

    fn of_segments(found: &SegmentPrediction, context: &ExplanationContext) -> Self {
        let first = found.explained().map(|segment| (segment.class_index, segment.probability, segment.logit));
        Self::new(first, found.segments.iter().map(|segment| (segment.class_index, segment.probability)), context)
    }
}

/// One entry of `top`.
#[derive(Serialize)]
pub struct RankedEntry {
    class_index: usize,
    label: String,
    probability: Option<f32>,
    /// The cosine of a likeness, which has no probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    logit: Option<f32>,
}

impl RankedEntry {
    pub fn new(class_index: usize, probability: f32, context: &ExplanationContext) -> Self {
        Self { class_index, label: context.label(class_index), probability: Some(probability), logit: None }
    }

    pub fn of_cosine(class_index: usize, logit: f32, context: &ExplanationContext) -> Self {
        Self { class_index, label: context.label(class_index), probability: None, logit: Some(logit) }
    }
}

/// The size and range of a map, and the rectangle of the picture that its cells cover.
#[derive(Serialize)]
pub struct Map {
    height: usize,
    width: usize,
    max: f32,
    min: f32,
    evidence: bool,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_evidence: Option<&'static str>,
    /// The share of what speaks against the score.
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<f32>,
    region: Bounds,
}

impl Map {
    pub fn new(map: &CamMap, region: &Region) -> Self {
        let (height, width) = map.values.dim();
        let CamMap { max, min, evidence, against, no_evidence, .. } = *map;
        let no_evidence = no_evidence.map(NoEvidence::reason);
        Self { height, width, max, min, evidence, no_evidence, against, region: Bounds::from(region) }
    }
}

/// A rectangle in pixels of the picture.
#[derive(Serialize)]
pub struct Bounds {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl From<&Region> for Bounds {
    fn from(&Region { x, y, width, height }: &Region) -> Self {
        Self { x, y, width, height }
    }
}

impl<'a> Line<'a> {
    /// `map_file` gives the file of the map with an index, in the order of [`Explanation::maps`].
    pub fn new(
        frame: &'a Frame,
        explanation: &Explanation,
        context: &'a ExplanationContext,
        map_file: impl Fn(usize) -> Option<String>,
        boxes: Option<Vec<HotBox>>,
    ) -> Self {
        let region = &explanation.region;
        let (prediction, others) = match &explanation.prediction {
            Prediction::Classes(classes) => (
                PredictionFields::Classes(ClassFields::new(classes, context)),
                OtherFields::Classes(OtherClassFields::new(classes, context, region, &map_file)),
            ),
            Prediction::Detections(found) => (
                PredictionFields::Found(FoundFields::of_detections(found, context)),
                OtherFields::Detections(DetectionFields::new(found, context, region, &map_file)),
            ),
            Prediction::Segments(found) => (
                PredictionFields::Found(FoundFields::of_segments(found, context)),
                OtherFields::Segments(SegmentFields::new(found, context, region, &map_file)),
            ),
            Prediction::Values(values) => (
                PredictionFields::Values(ValueFields::new(values, context)),
                OtherFields::Values(OtherValueFields::new(values, context, region, &map_file)),
            ),
        };
        Self {
            frame: frame.index,
            pts_us: frame.time.as_us(),
            input: &frame.medium.name,
            width: frame.picture.width(),
            height: frame.picture.height(),
            task: context.task,
            prediction,
            map: Map::new(&explanation.map, region),
            map_file: map_file(0),
            others,
            boxes,
            method: &context.method,
            layer: &context.layer,
            model: &context.model,
        }
    }
}
