//! Softmax regression.

use std::cell::RefCell;

use argmin::core::{CostFunction, Error as Failure, Executor, Gradient, State};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;
use ndarray::{Array1, Array2, ArrayView2, Axis, Zip};

use super::examples::Examples;
use crate::error::{Error, Result};

/// Logits `xW + b` of features `x` `[N,C]`.
#[derive(Clone, Debug)]
pub struct Linear {
    /// `W`, `[C,K]`.
    pub weights: Array2<f32>,
    /// `b`, `[K]`.
    pub bias: Array1<f32>,
}

/// Directions that the optimiser remembers.
const MEMORY: usize = 10;
const MOST_STEPS: u64 = 100;
/// Below this, a step or the gradient no longer changes any prediction.
const TOLERANCE: f64 = 1e-5;

impl Linear {
    /// The weights that minimise the mean cross-entropy plus `penalty / 2 · |W|²`, for features that are shifted to the mean 0
    /// and divided by their root mean square deviation. Crops count as pictures. Each class counts the same, however many pictures
    /// it has.
    ///
    /// # Errors
    /// A feature is not finite.
    pub fn fit(examples: &Examples, penalty: f64) -> Result<Self> {
        let failed = |problem: &dyn std::fmt::Display| Error::model("taught", format!("cannot be fitted: {problem}"));
        let (mut centred, class) = examples.with_crops();
        let mean = centred.mean_axis(Axis(0)).ok_or_else(|| failed(&"there are no examples"))?;
        centred -= &mean;
        let deviation = centred.iter().map(|value| f64::from(value * value)).sum::<f64>() / centred.len().max(1) as f64;
        // Equal features tell nothing apart, and stay 0.
        let scale = if deviation > 0.0 { (1.0 / deviation.sqrt()) as f32 } else { 1.0 };
        centred *= scale;
        let (features, classes) = (centred.ncols(), examples.names.len());
        let problem = Regression::new(centred, class, classes, penalty);
        let start = vec![0.0; (features + 1) * classes];
        let solver = LBFGS::new(MoreThuenteLineSearch::new(), MEMORY);
        let solver =
            solver.with_tolerance_grad(TOLERANCE).and_then(|solver| solver.with_tolerance_cost(TOLERANCE / 10.0));
        let executor = Executor::new(problem, solver.map_err(|e| failed(&e))?);
        let fitted =
            executor.configure(|state| state.param(start).max_iters(MOST_STEPS)).run().map_err(|e| failed(&e))?;
        let best = fitted.state().get_best_param().ok_or_else(|| failed(&"a feature is not finite"))?;
        let whole = ArrayView2::from_shape((features + 1, classes), best.as_slice()).map_err(|e| failed(&e))?;
        let whole = whole.mapv(|value| value as f32);
        let weights = whole.slice(ndarray::s![..features, ..]).to_owned() * scale;
        let bias = &whole.row(features) - &mean.dot(&weights);
        Ok(Self { weights, bias })
    }

    /// Logits `[N,K]`.
    pub fn logits(&self, features: ArrayView2<f32>) -> Array2<f32> {
        features.dot(&self.weights) + &self.bias
    }

    /// With all logits divided by a temperature (Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017).
    #[must_use]
    pub fn cooled(self, temperature: f32) -> Self {
        Self { weights: self.weights / temperature, bias: self.bias / temperature }
    }
}

/// Weights, their loss, and what it changes by each logit.
type Evaluated = (Vec<f64>, f64, Array2<f32>);

/// The loss and its gradient by `W` and `b`, stored as one matrix `[C+1,K]`.
struct Regression {
    /// `[N,C]`
    features: Array2<f32>,
    /// Of each example.
    class: Vec<usize>,
    /// What each example counts; the sum is 1.
    share: Vec<f64>,
    classes: usize,
    penalty: f64,
    /// The last weights, with their loss and residuals: the optimiser asks for loss and gradient one after the other.
    last: RefCell<Option<Evaluated>>,
}

impl Regression {
    fn new(features: Array2<f32>, class: Vec<usize>, classes: usize, penalty: f64) -> Self {
        let mut counts = vec![0_usize; classes];
        for class in &class {
            counts[*class] += 1;
        }
        let present = counts.iter().filter(|count| **count > 0).count();
        let share = class.iter().map(|class| 1.0 / (present * counts[*class]) as f64).collect();
        Self { features, class, share, classes, penalty, last: RefCell::new(None) }
    }

    /// What `read` makes of the loss and the residuals for these weights.
    fn at<T>(&self, whole: &[f64], read: impl FnOnce(f64, &Array2<f32>) -> T) -> T {
        let mut last = self.last.borrow_mut();
        let known = last.take().filter(|(of, ..)| of == whole);
        let (_, loss, residuals) = last.insert(known.unwrap_or_else(|| {
            let (loss, residuals) = self.residuals(whole);
            (whole.to_vec(), loss, residuals)
        }));
        read(*loss, residuals)
    }

    /// Loss, and what the loss changes by each logit `[N,K]`.
    fn residuals(&self, whole: &[f64]) -> (f64, Array2<f32>) {
        let features = self.features.ncols();
        let weights = Array2::from_shape_fn((features, self.classes), |(c, k)| whole[c * self.classes + k] as f32);
        let bias = &whole[features * self.classes..];
        let mut residuals = self.features.dot(&weights);
        let mut loss = 0.0;
        for ((mut logits, class), share) in residuals.rows_mut().into_iter().zip(&self.class).zip(&self.share) {
            Zip::from(&mut logits).and(bias).for_each(|logit, bias| *logit += *bias as f32);
            let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f64 = logits.iter().map(|logit| f64::from(logit - most).exp()).sum();
            loss += share * (sum.ln() - f64::from(logits[*class] - most));
            logits.mapv_inplace(|logit| (share * f64::from(logit - most).exp() / sum) as f32);
            logits[*class] -= *share as f32;
        }
        (loss, residuals)
    }

    fn squares<'w>(&self, whole: &'w [f64]) -> &'w [f64] {
        &whole[..self.features.ncols() * self.classes]
    }
}

impl CostFunction for Regression {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, whole: &Self::Param) -> Result<f64, Failure> {
        let squares: f64 = self.squares(whole).iter().map(|weight| weight * weight).sum();
        Ok(self.at(whole, |loss, _| loss) + self.penalty / 2.0 * squares)
    }
}

impl Gradient for Regression {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, whole: &Self::Param) -> Result<Vec<f64>, Failure> {
        let (by_weights, by_bias) =
            self.at(whole, |_, residuals| (self.features.t().dot(residuals), residuals.sum_axis(Axis(0))));
        let mut gradient: Vec<f64> = by_weights.iter().map(|value| f64::from(*value)).collect();
        for (gradient, weight) in gradient.iter_mut().zip(self.squares(whole)) {
            *gradient += self.penalty * weight;
        }
        gradient.extend(by_bias.iter().map(|value| f64::from(*value)));
        Ok(gradient)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// scikit-learn's probabilities, with balanced classes (tests/reference/teaching.py).
    #[test]
    fn probabilities_are_those_of_another_library() {
        let reference = include_str!("../../tests/reference/teaching/regression.json");
        let reference: Value = serde_json::from_str(reference).unwrap_or_else(|e| panic!("{e}"));
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let numbers =
            |value: &Value| list(value).iter().map(|v| v.as_f64().unwrap_or(f64::NAN) as f32).collect::<Vec<_>>();
        let views: Vec<Vec<Array1<f32>>> =
            list(&reference["features"]).iter().map(|row| vec![Array1::from_vec(numbers(row))]).collect();
        let class = numbers(&reference["classes"]).into_iter().map(|class| class as usize).collect();
        let names = ["a", "b", "c"].map(String::from).to_vec();
        let examples = Examples::new(names, class, &views, 6).unwrap_or_else(|e| panic!("{e}"));
        for (penalty, wanted) in list(&reference["penalties"]).iter().zip(list(&reference["probabilities"])) {
            let fitted = Linear::fit(&examples, penalty.as_f64().unwrap_or(f64::NAN)).unwrap_or_else(|e| panic!("{e}"));
            for (logits, wanted) in fitted.logits(examples.features.view()).outer_iter().zip(list(&wanted)) {
                let sum: f32 = logits.iter().map(|logit| logit.exp()).sum();
                for (logit, wanted) in logits.iter().zip(numbers(&wanted)) {
                    assert!((logit.exp() / sum - wanted).abs() < 2e-3, "{penalty}: {logits} {wanted}");
                }
            }
        }
    }
}
