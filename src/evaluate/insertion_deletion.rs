//! Insertion and deletion: Petsiuk, Das and Saenko, *RISE: Randomized Input Sampling for Explanation of
//! Black-box Models*, BMVC 2018, <https://arxiv.org/abs/1806.07421>, section 4.3.

use ndarray::{Array3, ArrayView3, Axis, Zip, s};

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
            Zip::from(picture.slice_mut(s![.., y, x])).and(by.slice(s![.., y, x])).for_each(|to, &from| *to = from);
        }
        curve.push((trial.classify)(picture.view())?);
    }
    Ok(curve)
}

/// By a Gaussian of 5 pixels' deviation in a window of 11, whose tails are folded back into it, and zero beyond
/// the picture's edges: the blur of the authors' code.
fn blurred(picture: ArrayView3<f32>) -> Array3<f32> {
    const WINDOW: usize = 11;
    const DEVIATION: f32 = 5.0;
    let reach = 4 * DEVIATION as i32;
    let mut taps = [0.0_f32; WINDOW];
    for offset in -reach..=reach {
        let place = (WINDOW as i32 / 2 + offset).rem_euclid(2 * WINDOW as i32) as usize;
        let folded = place.min(2 * WINDOW - 1 - place);
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
