//! From the names of classes to their indices.

use super::request::{ClassName, Direction, Request, ScoreQuery};
use crate::cam::{Method, ScoreKind};
use crate::error::{Error, Result};
use crate::grad::{Score, Task};

/// A class that is explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The class of this rank, 0 for the predicted one.
    Rank(usize),
    Class(usize),
}

/// The scores of a request, with every name resolved.
#[derive(Clone, Debug)]
pub struct ResolvedScores {
    /// The score that is differentiated.
    pub score: Score,
    pub subjects: Vec<Subject>,
}

impl ResolvedScores {
    /// The class that the score is set against, in a contrast.
    pub fn against(&self) -> Option<usize> {
        match self.score {
            Score::Contrast { against } => Some(against),
            _ => None,
        }
    }

    /// # Errors
    /// A class does not exist, or the method cannot explain this score.
    pub fn of_task(task: &Task, request: &Request, labels: &[String]) -> Result<Self> {
        let (scores, method) = (&request.scores, request.method_for(task));
        let conflict = |flag: &str, of: &str| {
            let problem = format!("{flag} is for {of}, and the task of the model is '{}'", task.name());
            Err(Error::Conflict(problem))
        };
        if request.direction == Direction::Down && !matches!(task, Task::Value(_)) {
            return conflict("--direction", "values");
        }
        if request.area.is_some() && !matches!(task, Task::Segment(_)) {
            return conflict("--region", "segmenters");
        }
        match task {
            Task::Classify(of) | Task::Embed(of) => Self::resolve(scores, method, labels, of.classes),
            Task::Detect(of) => Self::of_several(scores, method, labels, of.classes, "detections"),
            Task::Segment(of) => Self::of_several(scores, method, labels, of.classes, "segments"),
            Task::Value(of) => Self::of_values(request, method, labels, of.classes),
        }
    }

    /// The values that are explained; without names, the first.
    fn of_values(request: &Request, method: &Method, labels: &[String], values: usize) -> Result<Self> {
        if method.score != ScoreKind::Class || request.scores.iter().any(|q| matches!(q, ScoreQuery::Contrast { .. })) {
            let problem = "values have no classes that are set against each other; choose another method, such as \
                           grad-cam, and no contrast";
            return Err(Error::Conflict(problem.into()));
        }
        let subject = |query: &ScoreQuery| match query {
            ScoreQuery::Class(name) => find_class(name.as_str(), labels, values).map(Subject::Class),
            ScoreQuery::Rank(rank) if *rank < values => Ok(Subject::Class(*rank)),
            _ => Err(Error::Conflict(format!("the model has {values} values"))),
        };
        let score = if request.direction == Direction::Down { Score::Decrease } else { Score::Class };
        Ok(Self { score, subjects: request.scores.iter().map(subject).collect::<Result<_>>()? })
    }

    fn resolve(queries: &[ScoreQuery], method: &Method, labels: &[String], classes: usize) -> Result<Self> {
        if let [ScoreQuery::Contrast { class, against }] = queries {
            return Self::contrast(class, against, method, labels, classes);
        }
        let subject = |query: &ScoreQuery| match query {
            ScoreQuery::Rank(rank) => Ok(Subject::Rank(*rank)),
            ScoreQuery::Class(name) => find_class(name.as_str(), labels, classes).map(Subject::Class),
            ScoreQuery::Contrast { .. } => {
                Err(Error::Conflict("a contrast cannot be combined with other scores; request it alone".into()))
            }
        };
        let score = if method.score == ScoreKind::Rivals { Score::Rivals } else { Score::Class };
        // The first three of two classes are both.
        let beyond = |query: &&ScoreQuery| matches!(query, ScoreQuery::Rank(rank) if *rank >= classes);
        if let Some(ScoreQuery::Rank(rank)) = queries.first().filter(|query| beyond(query)) {
            let known = format!("the model has {classes} classes");
            return Err(Error::Unknown { what: "class", name: format!("top{}", rank + 1), known });
        }
        let queries = queries.iter().filter(|query| !beyond(query));
        Ok(Self { score, subjects: queries.map(subject).collect::<Result<_>>()? })
    }

    /// The classes whose detections or segments count; none for those of all classes.
    ///
    /// # Errors
    /// A class does not exist, or the method cannot explain a detection or segment.
    fn of_several(
        queries: &[ScoreQuery],
        method: &Method,
        labels: &[String],
        classes: usize,
        what: &str,
    ) -> Result<Self> {
        if method.score != ScoreKind::Class || queries.iter().any(|query| matches!(query, ScoreQuery::Contrast { .. }))
        {
            let problem = format!(
                "a class is set against others for classifiers only; for {what} choose another method, such as hires-cam, \
                 and no contrast"
            );
            return Err(Error::Conflict(problem));
        }
        // Of segments, the largest ones; of detections, ranks say nothing.
        let ranked = what == "segments" && queries != [ScoreQuery::PREDICTED];
        if !ranked && queries.iter().any(|query| matches!(query, ScoreQuery::Rank(rank) if *rank > 0)) {
            let problem = format!("the most likely classes are a classifier's; of {what}, name classes");
            return Err(Error::Conflict(problem));
        }
        let named = queries.iter().filter_map(|query| match query {
            ScoreQuery::Class(name) => Some(find_class(name.as_str(), labels, classes).map(Subject::Class)),
            ScoreQuery::Rank(rank) if ranked => Some(Ok(Subject::Rank(*rank))),
            _ => None,
        });
        Ok(Self { score: Score::Class, subjects: named.collect::<Result<_>>()? })
    }

    fn contrast(
        class: &ClassName,
        against: &ClassName,
        method: &Method,
        labels: &[String],
        classes: usize,
    ) -> Result<Self> {
        if method.score != ScoreKind::Class || !method.needs().gradient {
            let problem = "explains no contrast of two classes; choose a method that takes the gradient of one class's \
                           score, such as grad-cam";
            return Err(Error::Conflict(format!("{} {problem}", method.name)));
        }
        let [first, second] = [class, against].map(|name| find_class(name.as_str(), labels, classes));
        let (first, second) = (first?, second?);
        if first == second {
            let name = format!("{class},{against}");
            return Err(Error::Unknown { what: "contrast", name, known: "give two different classes as A,B".into() });
        }
        Ok(Self { score: Score::Contrast { against: second }, subjects: vec![Subject::Class(first)] })
    }
}

/// The index of a class by its label, whatever the case of its letters, or by its number.
///
/// # Errors
/// There is no such class.
pub fn find_class(name: &str, labels: &[String], classes: usize) -> Result<usize> {
    let name = name.trim();
    if let Some(at) = labels.iter().position(|label| label.eq_ignore_ascii_case(name)) {
        return Ok(at);
    }
    if let Some(index) = name.parse::<usize>().ok().filter(|index| *index < classes) {
        return Ok(index);
    }
    let known = match classes {
        _ if (1..=20).contains(&labels.len()) => format!("there are {}", labels.join(", ")),
        classes => format!("give a number from 0 to {}", classes.saturating_sub(1)),
    };
    Err(Error::Unknown { what: "class", name: name.to_owned(), known })
}
