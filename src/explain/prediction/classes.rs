//! What a classifier says.

use super::ranked::{RankedLabel, percent};
use crate::cam::CamMap;
use crate::explain::ExplanationContext;

/// What a classifier says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClassPrediction {
    /// The class that the first map explains.
    pub class_index: usize,
    /// 0..=1.
    pub probability: f32,
    pub logit: f32,
    /// Whether the numbers are cosines, which stand for themselves.
    pub cosine: bool,
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
    pub logit: f32,
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

impl ClassPrediction {
    /// One class of a picture, without further maps.
    pub fn new(class_index: usize, probability: f32, logit: f32, top: Vec<Ranked>) -> Self {
        Self { class_index, probability, logit, cosine: false, top, others: Vec::new(), familiarity: None }
    }

    /// Whether the picture shows any of the classes.
    pub fn is_sure(&self) -> bool {
        self.familiarity.is_none_or(|familiarity| familiarity.value >= familiarity.least)
    }

    /// The classes that have a map, in the order of the maps.
    pub fn explained(&self) -> impl Iterator<Item = usize> {
        std::iter::once(self.class_index).chain(self.others.iter().map(|other| other.class_index))
    }

    pub(super) fn captions(&self, map: &CamMap, context: &ExplanationContext) -> Vec<String> {
        let line = |class: usize, probability: f32, logit: f32, map: &CamMap| {
            let evidence = map.absence();
            let against = context.against.map_or(String::new(), |other| format!(" against {}", context.label(other)));
            let number = if self.cosine { format!("{logit:.2}") } else { format!("{:.0} %", 100.0 * probability) };
            format!("{}{against} {number}{evidence}", context.label(class))
        };
        let own = || line(self.class_index, self.probability, self.logit, map);
        let first = if self.is_sure() { own() } else { "not sure".to_owned() };
        let others =
            self.others.iter().map(|other| line(other.class_index, other.probability, other.logit, &other.map));
        std::iter::once(first).chain(others).collect()
    }

    pub(super) fn ranking(&self, context: &ExplanationContext) -> Vec<RankedLabel> {
        let line = |ranked: &Ranked| RankedLabel {
            label: context.label(ranked.class_index),
            share: ranked.probability,
            text: if self.cosine { format!("{:.2}", ranked.logit) } else { percent(ranked.probability) },
            explained: ranked.class_index == self.class_index,
        };
        self.top.iter().map(line).collect()
    }
}
