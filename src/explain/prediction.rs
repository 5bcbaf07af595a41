//! What a model says of a picture, in the form of its task.

use super::explanation::ExplanationContext;
use crate::cam::CamMap;

/// What a model says of a picture: one variant a task.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Prediction {
    Classes(ClassPrediction),
}

/// What a classifier says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClassPrediction {
    /// The class that the first map explains.
    pub class_index: usize,
    /// 0..=1.
    pub probability: f32,
    pub logit: f32,
    /// The five likeliest classes, first to last.
    pub top: Vec<Ranked>,
    /// The other classes of the request, with their maps.
    pub others: Vec<ClassMap>,
    /// How familiar the picture is, for a model that measures it.
    pub familiarity: Option<Familiarity>,
}

/// One class of a ranking.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    pub class_index: usize,
    /// 0..=1.
    pub probability: f32,
}

/// The map of one more class.
#[derive(Clone, Debug)]
pub struct ClassMap {
    pub class_index: usize,
    /// 0..=1.
    pub probability: f32,
    pub logit: f32,
    pub map: CamMap,
}

/// How familiar a picture is to its model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Familiarity {
    pub value: f32,
    /// Below this the picture shows none of the classes.
    pub least: f32,
}

/// One line of a ranking, to be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct RankedLabel {
    pub label: String,
    /// 0..=1.
    pub probability: f32,
    /// Whether it is the one that the map explains.
    pub explained: bool,
}

impl ClassPrediction {
    /// One class of a picture, without further maps.
    pub fn new(class_index: usize, probability: f32, logit: f32, top: Vec<Ranked>) -> Self {
        Self { class_index, probability, logit, top, others: Vec::new(), familiarity: None }
    }

    /// Whether the picture shows any of the classes.
    pub fn is_sure(&self) -> bool {
        self.familiarity.is_none_or(|familiarity| familiarity.value >= familiarity.least)
    }

    /// The classes that have a map, in the order of the maps.
    pub fn explained(&self) -> impl Iterator<Item = usize> {
        std::iter::once(self.class_index).chain(self.others.iter().map(|other| other.class_index))
    }

    fn captions(&self, map: &CamMap, context: &ExplanationContext) -> Vec<String> {
        let line = |class: usize, probability: f32, map: &CamMap| {
            let evidence = if map.evidence { "" } else { "  no evidence" };
            let against = context.against.map_or(String::new(), |other| format!(" against {}", context.label(other)));
            format!("{}{against} {:.0} %{evidence}", context.label(class), 100.0 * probability)
        };
        let first = if self.is_sure() { line(self.class_index, self.probability, map) } else { "not sure".to_owned() };
        let others = self.others.iter().map(|other| line(other.class_index, other.probability, &other.map));
        std::iter::once(first).chain(others).collect()
    }

    fn ranking(&self, context: &ExplanationContext) -> Vec<RankedLabel> {
        let line = |ranked: &Ranked| RankedLabel {
            label: context.label(ranked.class_index),
            probability: ranked.probability,
            explained: ranked.class_index == self.class_index,
        };
        self.top.iter().map(line).collect()
    }
}

impl Prediction {
    pub(super) fn other_maps(&self) -> impl Iterator<Item = &CamMap> {
        match self {
            Self::Classes(classes) => classes.others.iter().map(|other| &other.map),
        }
    }

    pub(super) fn other_maps_mut(&mut self) -> impl Iterator<Item = &mut CamMap> {
        match self {
            Self::Classes(classes) => classes.others.iter_mut().map(|other| &mut other.map),
        }
    }

    pub(super) fn captions(&self, map: &CamMap, context: &ExplanationContext) -> Vec<String> {
        match self {
            Self::Classes(classes) => classes.captions(map, context),
        }
    }

    pub(super) fn ranking(&self, context: &ExplanationContext) -> Vec<RankedLabel> {
        match self {
            Self::Classes(classes) => classes.ranking(context),
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "a task without classes has none")]
    pub(super) fn classes(&self) -> Option<&ClassPrediction> {
        match self {
            Self::Classes(classes) => Some(classes),
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "a task without classes has none")]
    pub(super) fn classes_mut(&mut self) -> Option<&mut ClassPrediction> {
        match self {
            Self::Classes(classes) => Some(classes),
        }
    }
}
