//! What a model says of a picture, in the form of its task.

use super::explanation::ExplanationContext;
use crate::cam::CamMap;
use crate::model::Region;

/// What a model says of a picture: one variant a task.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Prediction {
    Classes(ClassPrediction),
    Detections(DetectionPrediction),
}

/// What a detector says.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DetectionPrediction {
    /// What is found, best first.
    pub detections: Vec<DetectedObject>,
    /// The best box below the threshold, where none reaches it. The first map explains it then.
    pub near_miss: Option<DetectedObject>,
    /// The position of the detection that the first map explains; without one, that map explains the sum of all.
    pub chosen: Option<usize>,
}

/// A box with a class.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DetectedObject {
    pub class_index: usize,
    /// The model's own score, 0..=1.
    pub probability: f32,
    /// The logit of the class alone.
    pub logit: f32,
    /// The box on the picture, in pixels.
    pub bounds: Region,
    /// The entry of the model's flattened logits that it comes from: the value of the input `detection_index`.
    pub entry: i64,
    /// The number of the object that is followed from picture to picture, where objects are followed.
    pub object: Option<u64>,
    /// Its number among the objects in view, counted from 1.
    pub number: Option<usize>,
    /// The map of this detection alone, if it was asked for.
    pub map: Option<CamMap>,
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

impl DetectionPrediction {
    /// How many there are of each class, the most certain class first.
    fn caption(&self, map: &CamMap, context: &ExplanationContext) -> String {
        let evidence = if map.evidence { "" } else { "  no evidence" };
        let certain = |object: &DetectedObject| {
            format!("{} {:.0} %", context.label(object.class_index), 100.0 * object.probability)
        };
        if let Some(chosen) = self.chosen.and_then(|chosen| self.detections.get(chosen)) {
            return format!("{}{evidence}", certain(chosen));
        }
        if let Some(near_miss) = &self.near_miss {
            return format!("near miss: {}{evidence}", certain(near_miss));
        }
        let mut counts: Vec<(usize, usize)> = Vec::new();
        for object in &self.detections {
            match counts.iter_mut().find(|(class, _)| *class == object.class_index) {
                Some((_, count)) => *count += 1,
                None => counts.push((object.class_index, 1)),
            }
        }
        let counted = counts.iter().map(|(class, count)| match count {
            1 => context.label(*class),
            count => format!("{count} {}", context.label(*class)),
        });
        match counted.collect::<Vec<_>>() {
            nothing if nothing.is_empty() => "nothing found  no evidence".to_owned(),
            counted => format!("{}{evidence}", counted.join(", ")),
        }
    }

    fn ranking(&self, context: &ExplanationContext) -> Vec<RankedLabel> {
        let objects = self.detections.iter().enumerate();
        let lines = objects.map(|(at, object)| RankedLabel {
            label: match object.number {
                Some(number) => format!("{number} {}", context.label(object.class_index)),
                None => context.label(object.class_index),
            },
            probability: object.probability,
            explained: self.chosen.is_none_or(|chosen| chosen == at),
        });
        lines.collect()
    }
}

impl Prediction {
    /// The name of the task.
    pub fn task(&self) -> &'static str {
        match self {
            Self::Classes(_) => "classify",
            Self::Detections(_) => "detect",
        }
    }

    pub(super) fn other_maps(&self) -> Box<dyn Iterator<Item = &CamMap> + '_> {
        match self {
            Self::Classes(classes) => Box::new(classes.others.iter().map(|other| &other.map)),
            Self::Detections(found) => Box::new(found.detections.iter().filter_map(|object| object.map.as_ref())),
        }
    }

    pub(super) fn other_maps_mut(&mut self) -> Box<dyn Iterator<Item = &mut CamMap> + '_> {
        match self {
            Self::Classes(classes) => Box::new(classes.others.iter_mut().map(|other| &mut other.map)),
            Self::Detections(found) => Box::new(found.detections.iter_mut().filter_map(|object| object.map.as_mut())),
        }
    }

    pub(super) fn captions(&self, map: &CamMap, context: &ExplanationContext) -> Vec<String> {
        match self {
            Self::Classes(classes) => classes.captions(map, context),
            Self::Detections(found) => vec![found.caption(map, context)],
        }
    }

    pub(super) fn ranking(&self, context: &ExplanationContext) -> Vec<RankedLabel> {
        match self {
            Self::Classes(classes) => classes.ranking(context),
            Self::Detections(found) => found.ranking(context),
        }
    }

    pub(super) fn classes(&self) -> Option<&ClassPrediction> {
        match self {
            Self::Classes(classes) => Some(classes),
            Self::Detections(_) => None,
        }
    }

    pub(super) fn classes_mut(&mut self) -> Option<&mut ClassPrediction> {
        match self {
            Self::Classes(classes) => Some(classes),
            Self::Detections(_) => None,
        }
    }

    pub(super) fn detections(&self) -> Option<&DetectionPrediction> {
        match self {
            Self::Classes(_) => None,
            Self::Detections(found) => Some(found),
        }
    }
}
