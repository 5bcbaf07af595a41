//! The predictions.

use super::classes::ClassPrediction;
use super::detections::DetectionPrediction;
use super::ranked::RankedLabel;
use super::segments::SegmentPrediction;
use super::values::ValuePrediction;
use crate::cam::CamMap;
use crate::explain::ExplanationContext;
use crate::model::Region;

/// What a model says of a picture: one variant for each form.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Prediction {
    /// Classes, or references that an embedding is compared with.
    Classes(ClassPrediction),
    Detections(DetectionPrediction),
    Segments(SegmentPrediction),
    Values(ValuePrediction),
}

impl Prediction {
    pub(in crate::explain) fn other_maps(&self) -> Box<dyn Iterator<Item = &CamMap> + '_> {
        match self {
            Self::Classes(classes) => Box::new(classes.others.iter().map(|other| &other.map)),
            Self::Detections(found) => Box::new(found.detections.iter().filter_map(|object| object.map.as_ref())),
            Self::Segments(found) => Box::new(found.segments.iter().filter_map(|segment| segment.map.as_ref())),
            Self::Values(values) => Box::new(values.others.iter().map(|(_, map)| map)),
        }
    }

    pub(in crate::explain) fn other_maps_mut(&mut self) -> Box<dyn Iterator<Item = &mut CamMap> + '_> {
        match self {
            Self::Classes(classes) => Box::new(classes.others.iter_mut().map(|other| &mut other.map)),
            Self::Detections(found) => Box::new(found.detections.iter_mut().filter_map(|object| object.map.as_mut())),
            Self::Segments(found) => Box::new(found.segments.iter_mut().filter_map(|segment| segment.map.as_mut())),
            Self::Values(values) => Box::new(values.others.iter_mut().map(|(_, map)| map)),
        }
    }

    /// Every box on the picture.
    pub(in crate::explain) fn bounds_mut(&mut self) -> Vec<&mut Region> {
        let Self::Detections(found) = self else { return Vec::new() };
        found.detections.iter_mut().chain(&mut found.near_miss).map(|object| &mut object.bounds).collect()
    }

    pub(in crate::explain) fn captions(&self, map: &CamMap, context: &ExplanationContext) -> Vec<String> {
        match self {
            Self::Classes(classes) => classes.captions(map, context),
            Self::Detections(found) => vec![found.caption(map, context)],
            Self::Segments(found) => vec![found.caption(map, context)],
            Self::Values(values) => values.captions(map, context),
        }
    }

    pub(in crate::explain) fn ranking(&self, context: &ExplanationContext) -> Vec<RankedLabel> {
        match self {
            Self::Classes(classes) => classes.ranking(context),
            Self::Detections(found) => found.ranking(context),
            Self::Segments(found) => found.ranking(context),
            Self::Values(values) => values.ranking(context),
        }
    }

    /// The classes or values that a viewer can choose from, in the order of the ranking.
    pub fn choices(&self) -> Vec<usize> {
        match self {
            Self::Classes(classes) => classes.top.iter().map(|ranked| ranked.class_index).collect(),
            Self::Detections(_) => Vec::new(),
            Self::Segments(found) => found.segments.iter().map(|segment| segment.class_index).collect(),
            Self::Values(values) => (0..values.values.len()).collect(),
        }
    }

    /// What each map explains, in the order of the maps; `None` for a sum over detections.
    pub(in crate::explain) fn explained(&self) -> Vec<Option<usize>> {
        match self {
            Self::Classes(classes) => classes.explained().map(Some).collect(),
            Self::Detections(_) => vec![None],
            Self::Segments(found) => {
                let first = found.explained().map(|segment| segment.class_index);
                let others = found.segments.iter().filter(|segment| segment.map.is_some());
                std::iter::once(first).chain(others.map(|segment| Some(segment.class_index))).collect()
            }
            Self::Values(values) => values.explained().map(Some).collect(),
        }
    }

    pub(in crate::explain) fn classes(&self) -> Option<&ClassPrediction> {
        match self {
            Self::Classes(classes) => Some(classes),
            _ => None,
        }
    }

    pub(in crate::explain) fn classes_mut(&mut self) -> Option<&mut ClassPrediction> {
        match self {
            Self::Classes(classes) => Some(classes),
            _ => None,
        }
    }

    pub(in crate::explain) fn detections(&self) -> Option<&DetectionPrediction> {
        match self {
            Self::Detections(found) => Some(found),
            _ => None,
        }
    }

    pub(in crate::explain) fn segments(&self) -> Option<&SegmentPrediction> {
        match self {
            Self::Segments(found) => Some(found),
            _ => None,
        }
    }
}
