//! Insertion and deletion: Petsiuk, Das and Saenko, *RISE: Randomized Input Sampling for Explanation of
//! Black-box Models*, BMVC 2018, <https://arxiv.org/abs/1806.07421>, section 4.3.

use ndarray::{Array3, ArrayView3, Axis, Zip, s};
use serde::{Deserialize, Serialize};

use super::trial::Trial;
use crate::error::Result;

/// The class's probability while pixels are inserted or deleted, in descending order of the map, from none to all.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Curves {
    /// Pixels are inserted into a blurred copy; a larger area is better.
    pub insertion: Vec<f32>,
    /// Pixels are replaced by blank ones; a smaller area is better.
    pub deletion: Vec<f32>,
}

/// The area under a curve of evenly spaced points from 0 to 1, by the trapezoidal rule.
pub fn area_under(curve: &[f32]) -> f32 {
    let sum: f32 = curve.windows(2).map(|pair| f32::midpoint(pair[0], pair[1])).sum();
    sum / (curve.len() - 1).max(1) as f32
}

/// Measures both curves in `steps` steps.
///
/// # Errors
/// The runtime fails.
pub fn insertion_deletion(trial: &mut Trial, steps: usize) -> Result<Curves> {
    let mut blank = trial.input.to_owned();
    blank.outer_iter_mut().zip(trial.blank).for_each(|(mut channel, value)| channel.fill(*value));
    let order = trial.ranking();
    let input = trial.input;
    Ok(Curves {
        insertion: replaced(trial, &order, blurred(input), input, steps)?,
        deletion: replaced(trial, &order, input.to_owned(), blank.view(), steps)?,
    })
}

/// The scores while the pixels of `picture` are replaced by those of `by`, in `steps` steps.
fn replaced(
    trial: &mut Trial,
    order: &[usize],
    mut picture: Array3<f32>,
    by: ArrayView3<f32>,
    steps: usize,
) -> Result<Vec<f32>> {
    let width = picture.dim().2;
    let mut curve = vec![(trial.classify)(picture.view())?];
    for step in 1..=steps {
        for pixel in &order[order.len() * (step - 1) / steps..order.len() * step / steps] {
            let (y, x) = (pixel / width, pixel % width);
            Zip::from(picture.slice_mut(s![.., y, x])).and(by.slice(s![.., y, x])).for_each(|to, &from| *to = from);
        }
        curve.push((trial.classify)(picture.view())?);
    }
    Ok(curve)
}

/// The blur of the authors' code: a Gaussian of standard deviation 5 in a window of 11 pixels, with its tails folded
/// back into the window, and zeros beyond the edges of the picture.
fn blurred(picture: ArrayView3<f32>) -> Array3<f32> {
    const WINDOW: usize = 11;
    const DEVIATION: f32 = 5.0;
    let reach = 4 * DEVIATION as i32;
    let mut taps = [0.0_f32; WINDOW];
    for offset in -reach..=reach {
        let index = (WINDOW as i32 / 2 + offset).rem_euclid(2 * WINDOW as i32) as usize;
        let folded = index.min(2 * WINDOW - 1 - index);
        taps[folded] += (-(offset as f32).powi(2) / (2.0 * DEVIATION.powi(2))).exp();
    }
    let sum: f32 = taps.iter().sum();
    let mut blurred = picture.to_owned();
    for axis in [1, 2] {
        for mut lane in blurred.lanes_mut(Axis(axis)) {
            let line = lane.to_vec();
            for (at, value) in lane.iter_mut().enumerate() {
                let near = taps
                    .iter()
                    .enumerate()
                    .filter_map(|(tap, weight)| Some(line.get((at + tap).checked_sub(WINDOW / 2)?)? * weight / sum));
                *value = near.sum();
            }
        }
    }
    blurred
}
