//! How well classes are told apart, and how strongly weights are kept small, by cross-validation.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use ndarray::{Array2, Axis};

use super::examples::Examples;
use super::folds::folds;
use super::linear::Linear;
use crate::error::{Error, Result};
use crate::evaluate::Confusion;

/// The penalties that are tried, from the strongest to the weakest.
const PENALTIES: [f64; 5] = [1.0, 0.1, 0.03, 0.01, 0.001];
/// The penalty where nothing can be left out to choose one.
pub const USUAL_PENALTY: f64 = 0.1;

/// What examples that were left out say.
#[derive(Clone, Debug)]
pub struct CrossValidation {
    pub folds: usize,
    /// How the examples are classified. Each fold is classified with the penalty that is best on the others, so that nothing is
    /// chosen by what it is measured on.
    pub confusion: Confusion,
    /// The penalty that is best on all folds.
    pub penalty: f64,
    /// What the logits are divided by, so that probabilities are those of the examples left out.
    pub temperature: f32,
}

/// Leaves out one fold after the other. `None` if a class cannot be left out in part, as all its pictures are near copies.
/// `group` tells near copies, and `proceed` gets the share of the work that is done and returns whether to go on.
///
/// # Errors
/// A feature is not finite, or `proceed` returned false.
pub fn cross_validate(
    examples: &Examples,
    group: &[usize],
    seed: u64,
    proceed: &(dyn Fn(f32) -> bool + Sync),
) -> Result<Option<CrossValidation>> {
    let Some(fold_of) = folds(examples, group, seed) else { return Ok(None) };
    let count = fold_of.iter().max().map_or(0, |most| most + 1);
    let shape = (examples.class.len(), examples.names.len());
    let mut logits = vec![Array2::<f32>::zeros(shape); PENALTIES.len()];
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || -> Result<Vec<LeftOut>> {
        let mut answered = Vec::new();
        loop {
            let fold = next.fetch_add(1, Ordering::Relaxed);
            if fold >= count {
                return Ok(answered);
            }
            answered.push(LeftOut::of(examples, &fold_of, fold, &|| {
                let fits = done.fetch_add(1, Ordering::Relaxed) + 1;
                proceed(fits as f32 / (count * PENALTIES.len()) as f32)
            })?);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(count);
    let answered = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let panicked = |_| Error::model("taught", "a thread of the cross-validation failed");
        threads.into_iter().map(|thread| thread.join().map_err(panicked)?).collect::<Result<Vec<_>>>()
    })?;
    for LeftOut { rows, answers } in answered.into_iter().flatten() {
        for (logits, answers) in logits.iter_mut().zip(answers) {
            for (row, answer) in rows.iter().zip(answers.outer_iter()) {
                logits.row_mut(*row).assign(&answer);
            }
        }
    }
    let tried = Tried { examples, fold_of: &fold_of, logits: &logits };
    let best_without: Vec<usize> = (0..count).map(|fold| tried.best(|of| of != fold)).collect();
    let predicted = |row: usize| largest(logits[best_without[fold_of[row]]].row(row).iter());
    let confusion = Confusion::new(shape.1, (0..shape.0).map(|row| (examples.class[row], predicted(row))));
    let best = tried.best(|_| true);
    Ok(Some(CrossValidation {
        folds: count,
        confusion,
        penalty: PENALTIES[best],
        temperature: temperature(&logits[best], &examples.class),
    }))
}

/// The examples of one fold, as those of the others answer them.
struct LeftOut {
    rows: Vec<usize>,
    /// The logits for each penalty.
    answers: Vec<Array2<f32>>,
}

impl LeftOut {
    /// `proceed` is called after each fit and returns whether to go on.
    fn of(examples: &Examples, fold_of: &[usize], fold: usize, proceed: &dyn Fn() -> bool) -> Result<Self> {
        let rows_of = |left_out: bool| {
            let rows = fold_of.iter().enumerate().filter(|(_, of)| (**of == fold) == left_out);
            rows.map(|(row, _)| row).collect::<Vec<usize>>()
        };
        let rows = rows_of(true);
        let (left_out, kept) = (examples.select(&rows), examples.select(&rows_of(false)));
        let answer = |penalty: &f64| {
            let answers = Linear::fit(&kept, *penalty)?.logits(left_out.features.view());
            if proceed() { Ok(answers) } else { Err(Error::Cancelled) }
        };
        let answers = PENALTIES.iter().map(answer).collect::<Result<_>>()?;
        Ok(Self { rows, answers })
    }
}

/// The logits of all examples, each while it was left out, for each penalty.
struct Tried<'t> {
    examples: &'t Examples,
    fold_of: &'t [usize],
    logits: &'t [Array2<f32>],
}

impl Tried<'_> {
    /// The number of the penalty with the least cross-entropy at its best temperature, over the folds that count.
    fn best(&self, counts: impl Fn(usize) -> bool) -> usize {
        let rows: Vec<usize> = (0..self.fold_of.len()).filter(|row| counts(self.fold_of[*row])).collect();
        let class: Vec<usize> = rows.iter().map(|row| self.examples.class[*row]).collect();
        let loss = |logits: &Array2<f32>| {
            let logits = logits.select(Axis(0), &rows);
            cross_entropy(&logits, &class, temperature(&logits, &class))
        };
        largest(self.logits.iter().map(|logits| -loss(logits)).collect::<Vec<_>>().iter())
    }
}

/// The temperature with the smallest cross-entropy (Guo et al. 2017), from 0.1 to 10.
fn temperature(logits: &Array2<f32>, class: &[usize]) -> f32 {
    const STEPS: i32 = 40;
    let tried: Vec<f32> = (-STEPS..=STEPS).map(|step| 10_f32.powf(step as f32 / STEPS as f32)).collect();
    let losses: Vec<f32> = tried.iter().map(|temperature| -cross_entropy(logits, class, *temperature)).collect();
    tried[largest(losses.iter())]
}

fn cross_entropy(logits: &Array2<f32>, class: &[usize], temperature: f32) -> f32 {
    let of_row = |(row, class): (ndarray::ArrayView1<f32>, &usize)| {
        let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = row.iter().map(|logit| ((logit - most) / temperature).exp()).sum();
        sum.ln() - (row[*class] - most) / temperature
    };
    logits.outer_iter().zip(class).map(of_row).sum::<f32>() / class.len().max(1) as f32
}

/// The position of the largest value.
pub fn largest<'v>(values: impl Iterator<Item = &'v f32>) -> usize {
    values.enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(at, _)| at)
}
