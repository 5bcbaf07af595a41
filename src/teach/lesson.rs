//! From examples to a classifier.

use super::cross_validation::{CrossValidation, USUAL_PENALTY, cross_validate};
use super::examples::Examples;
use super::familiarity::Familiarity;
use super::folds::near_copies;
use super::linear::Linear;
use crate::error::{Error, Result};

/// What was learned.
#[derive(Clone, Debug)]
pub struct Lesson {
    /// The names of the classes.
    pub names: Vec<String>,
    /// The number of examples of each class.
    pub counts: Vec<usize>,
    pub linear: Linear,
    /// `None` where all examples are near copies.
    pub familiarity: Option<Familiarity>,
    /// `None` where it was not asked for, or a class has only near copies of one picture.
    pub validation: Option<CrossValidation>,
    /// Examples that are near copies of an earlier one.
    pub copies: usize,
    /// Two examples of different classes that are near copies, by their rows.
    pub contradiction: Option<(usize, usize)>,
}

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thoroughness {
    /// Classes are fitted with the usual penalty.
    Quick,
    /// Cross-validation chooses the penalty and measures the accuracy.
    Measured,
}

/// Fits the classes. `proceed` gets the share of the work that is done and returns whether to go on.
///
/// # Errors
/// There are not two classes with examples, or `proceed` returned false.
pub fn teach(
    examples: &Examples,
    thoroughness: Thoroughness,
    seed: u64,
    proceed: &(dyn Fn(f32) -> bool + Sync),
) -> Result<Lesson> {
    let counts = examples.counts();
    if counts.iter().filter(|count| **count > 0).count() < 2 {
        return Err(Error::model("taught", "to tell something apart there must be pictures of two classes"));
    }
    let directions = examples.directions();
    let group = near_copies(directions.view());
    let validation = match thoroughness {
        Thoroughness::Quick => None,
        Thoroughness::Measured => cross_validate(examples, &group, seed, proceed)?,
    };
    let (penalty, temperature) = validation.as_ref().map_or((USUAL_PENALTY, 1.0), |v| (v.penalty, v.temperature));
    let contradiction = (0..group.len()).find(|row| examples.class[*row] != examples.class[group[*row]]);
    Ok(Lesson {
        names: examples.names.clone(),
        counts,
        linear: Linear::fit(examples, penalty)?.cooled(temperature),
        familiarity: Familiarity::of(directions.view(), &group, seed),
        validation,
        copies: group.iter().enumerate().filter(|(row, group)| row != *group).count(),
        contradiction: contradiction.map(|row| (group[row], row)),
    })
}
