//! Insertion and deletion: Petsiuk, Das and Saenko, *RISE: Randomized Input Sampling for Explanation of
//! Black-box Models*, BMVC 2018, <https://arxiv.org/abs/1806.07421>, section 4.3.

use ndarray::{Array3, ArrayView3, Zip};

use super::Trial;
use crate::error::Result;

/// The class's probability as pixels come or go, the map's highest first; from none to all of them.
#[derive(Clone, Debug)]
pub struct Curves {
    /// Pixels come into a blurred copy; a larger area under it is better.
    pub insertion: Vec<f32>,
    /// Pixels go, and leave blank; a smaller area under it is better.
    pub deletion: Vec<f32>,
}

/// The area under a curve of evenly spaced points from 0 to 1, by trapezes.
pub fn area_under(curve: &[f32]) -> f32 {
    let sum: f32 = curve.windows(2).map(|pair| f32::midpoint(pair[0], pair[1])).sum();
    sum / (curve.len() - 1).max(1) as f32
}

/// # Errors
/// The runtime fails.
pub fn insertion_deletion(trial: &mut Trial, steps: usize) -> Result<Curves> {
    let mut blank = trial.input.to_owned();
    blank.outer_iter_mut().zip(trial.blank).for_each(|(mut channel, value)| channel.fill(*value));
    let order = trial.ranking();
    let input = trial.input;
    Ok(Curves {
        insertion: exchanged(trial, &order, blurred(input), input, steps)?,
        deletion: exchanged(trial, &order, input.to_owned(), blank.view(), steps)?,
    })
}

/// The score as the pixels of `picture` are exchanged for those of `by`, in `steps` steps.
fn exchanged(
    trial: &mut Trial,
    order: &[usize],
    mut picture: Array3<f32>,
    by: ArrayView3<f32>,
    steps: usize,
) -> Result<Vec<f32>> {
    let width = picture.dim().2;
    let mut curve = vec![(trial.classify)(picture.view())?];
    for step in 1..=steps {
        for place in &order[order.len() * (step - 1) / steps..order.len() * step / steps] {
            let (y, x) = (place / width, place % width);
            Zip::from(picture.slice_mut(ndarray::s![.., y, x]))
                .and(by.slice(ndarray::s![.., y, x]))
                .for_each(|to, &from| *to = from);
        }
        curve.push((trial.classify)(picture.view())?);
    }
    Ok(curve)
}

/// By a Gaussian of 11 taps with a deviation of 5 pixels, zero beyond the edges, as in the authors' code.
fn blurred(picture: ArrayView3<f32>) -> Array3<f32> {
    const REACH: usize = 5;
    let tap = |at: usize| (-(at as f32 - REACH as f32).powi(2) / 50.0).exp();
    let sum: f32 = (0..=2 * REACH).map(tap).sum();
    let taps: Vec<f32> = (0..=2 * REACH).map(|at| tap(at) / sum).collect();
    let mut blurred = picture.to_owned();
    for axis in [1, 2] {
        for mut lane in blurred.lanes_mut(ndarray::Axis(axis)) {
            let line = lane.to_vec();
            for (at, value) in lane.iter_mut().enumerate() {
                let near = taps
                    .iter()
                    .enumerate()
                    .filter_map(|(tap, weight)| Some((line.get((at + tap).checked_sub(REACH)?)?, weight)));
                *value = near.map(|(v, weight)| v * weight).sum();
            }
        }
    }
    blurred
}
