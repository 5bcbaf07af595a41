//! ROAD (remove and debias): Rong et al., *A Consistent and Efficient Evaluation Strategy for Attribution Methods*,
//! ICML 2022, <https://arxiv.org/abs/2202.00449>, section 4.

use ndarray::{Array2, Array3, ArrayView3, Axis, Zip, s};
use rand::rngs::SmallRng;
use rand_distr::{Distribution, Normal};
use serde::{Deserialize, Serialize};

use super::trial::Trial;
use crate::error::Result;

/// The change of the class's probability when pixels are removed, as a mean over several shares of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Road {
    /// The least relevant pixels are removed; should be about 0.
    pub least_first: f32,
    /// The most relevant pixels are removed; should be negative.
    pub most_first: f32,
}

impl Road {
    /// Half of their difference, as in pytorch-grad-cam; more is better.
    pub fn combined(&self) -> f32 {
        (self.least_first - self.most_first) / 2.0
    }
}

/// Removes each of the `shares` of pixels, 0..=1. `noise` is the standard deviation of the noise on imputed pixels,
/// in units of the model's input.
///
/// # Errors
/// The runtime fails.
pub fn road(trial: &mut Trial, shares: &[f32], noise: f32, random: &mut SmallRng) -> Result<Road> {
    let most = trial.ranking();
    let least: Vec<usize> = most.iter().rev().copied().collect();
    let mut means = [0.0; 2];
    for (mean, order) in means.iter_mut().zip([least, most]) {
        for share in shares {
            let mut kept = Array2::from_elem(trial.map.dim(), true);
            let width = kept.ncols();
            let removed = ((order.len() as f32 * share).round() as usize).min(order.len() - 1);
            order[..removed].iter().for_each(|pixel| kept[[pixel / width, pixel % width]] = false);
            let copy = imputed(trial.input, &kept, noise, random);
            *mean += ((trial.classify)(copy.view())? - trial.score) / shares.len() as f32;
        }
    }
    Ok(Road { least_first: means[0], most_first: means[1] })
}

/// The neighbours of a pixel: rows down, columns to the right, weight.
const NEIGHBOURS: [(isize, isize, f32); 8] = [
    (0, 1, 1.0 / 6.0),
    (0, -1, 1.0 / 6.0),
    (1, 0, 1.0 / 6.0),
    (-1, 0, 1.0 / 6.0),
    (1, 1, 1.0 / 12.0),
    (1, -1, 1.0 / 12.0),
    (-1, 1, 1.0 / 12.0),
    (-1, -1, 1.0 / 12.0),
];

/// The paper's noisy linear imputation: in a picture `[C,H,W]`, each pixel that is not kept becomes the weighted mean
/// of its neighbours plus noise. At least one pixel must be kept.
pub fn imputed(picture: ArrayView3<f32>, kept: &Array2<bool>, noise: f32, random: &mut SmallRng) -> Array3<f32> {
    let mut filled = picture.to_owned();
    for mut channel in filled.axis_iter_mut(Axis(0)) {
        let solved = solved(&channel.to_owned(), kept);
        channel.assign(&solved);
        if let Ok(normal) = Normal::new(0.0, noise)
            && noise > 0.0
        {
            Zip::from(&mut channel).and(kept).for_each(|v, &kept| {
                if !kept {
                    *v += normal.sample(random);
                }
            });
        }
    }
    filled
}

/// The root mean square of the residual, in units of the model's input.
const TOLERANCE: f64 = 1e-5;

/// A channel with its missing pixels filled in. The solution at half the size is the starting point (Bornemann and
/// Deuflhard, *The cascadic multigrid method*, 1996).
fn solved(channel: &Array2<f32>, kept: &Array2<bool>) -> Array2<f32> {
    const SMALL: usize = 8;
    let (height, width) = channel.dim();
    if height.min(width) < SMALL {
        let known: Vec<f32> = channel.iter().zip(kept).filter(|(_, kept)| **kept).map(|(v, _)| *v).collect();
        let mean = known.iter().sum::<f32>() / known.len().max(1) as f32;
        return System::new(channel, kept).solve(&Array2::from_elem((height, width), mean));
    }
    let half = (height.div_ceil(2), width.div_ceil(2));
    let (mut sums, mut counts) = (Array2::<f32>::zeros(half), Array2::<f32>::zeros(half));
    for (((y, x), value), _) in channel.indexed_iter().zip(kept).filter(|(_, kept)| **kept) {
        sums[[y / 2, x / 2]] += value;
        counts[[y / 2, x / 2]] += 1.0;
    }
    let coarse = solved(&(&sums / &counts.mapv(|count| count.max(1.0))), &counts.mapv(|count| count > 0.0));
    let start = Array2::from_shape_fn((height, width), |(y, x)| coarse[[y / 2, x / 2]]);
    System::new(channel, kept).solve(&start)
}

/// The linear equations of one channel: `Σ w (x - neighbour) = 0` for each missing pixel. The matrix is symmetric and
/// positive definite, so the conjugate gradient method solves it (Hestenes and Stiefel 1952).
///
/// Planes have a margin of one pixel, so that neighbours need no bounds checks; weights beyond the picture are 0.
struct System {
    values: Array2<f32>,
    /// 1 where a pixel is missing.
    missing: Array2<f32>,
    /// The sum of the weights of each pixel's neighbours within the picture.
    degree: Array2<f32>,
    /// 1 within the picture.
    within: Array2<f32>,
}

impl System {
    fn new(channel: &Array2<f32>, kept: &Array2<bool>) -> Self {
        let missing = padded(&kept.mapv(|kept| if kept { 0.0 } else { 1.0 }));
        let within = padded(&Array2::ones(channel.dim()));
        let mut system = Self { values: padded(channel), missing, degree: within.clone(), within };
        sum_neighbours(&system.within, &mut system.degree);
        system
    }

    /// Applies the matrix to a plane that is 0 except at missing pixels.
    fn apply(&self, plane: &Array2<f32>, applied: &mut Array2<f32>) {
        sum_neighbours(plane, applied);
        Zip::from(applied)
            .and(plane)
            .and(&self.degree)
            .and(&self.missing)
            .for_each(|a, &v, &d, &m| *a = (d * v - *a) * m);
    }

    fn solve(self, start: &Array2<f32>) -> Array2<f32> {
        const MOST_STEPS: usize = 5000;
        let known = &self.values * &(&self.within - &self.missing);
        let mut solution = padded(start) * &self.missing;
        // One plane for all steps: a new one in each step costs more than the sum.
        let mut applied = Array2::zeros(known.dim());
        sum_neighbours(&known, &mut applied);
        let mut residual = &applied * &self.missing;
        self.apply(&solution, &mut applied);
        residual -= &applied;
        let mut direction = residual.clone();
        let mut length = dot(&residual, &residual);
        let enough = TOLERANCE.powi(2) * f64::from(self.missing.sum());
        for _ in 0..MOST_STEPS {
            if length <= enough {
                break;
            }
            self.apply(&direction, &mut applied);
            let step = (length / dot(&direction, &applied)) as f32;
            solution.scaled_add(step, &direction);
            residual.scaled_add(-step, &applied);
            let next = dot(&residual, &residual);
            let keep = (next / length) as f32;
            Zip::from(&mut direction).and(&residual).for_each(|d, &r| *d = r + keep * *d);
            length = next;
        }
        let filled = known + solution;
        let (height, width) = filled.dim();
        filled.slice(s![1..height - 1, 1..width - 1]).to_owned()
    }
}

/// The weighted sum of each pixel's neighbours. The margin of `sums` stays as it is.
fn sum_neighbours(plane: &Array2<f32>, sums: &mut Array2<f32>) {
    let (height, width) = plane.dim();
    let (from, to) = (plane.as_slice().unwrap_or_default(), sums.as_slice_mut().unwrap_or_default());
    for y in 1..height - 1 {
        let row = &mut to[y * width + 1..(y + 1) * width - 1];
        row.fill(0.0);
        for (down, across, weight) in NEIGHBOURS {
            let start = (y as isize + down) as usize * width + (1 + across) as usize;
            for (sum, value) in row.iter_mut().zip(&from[start..]) {
                *sum += weight * value;
            }
        }
    }
}

/// The plane with a margin of one pixel of zeros.
fn padded(plane: &Array2<f32>) -> Array2<f32> {
    let (height, width) = plane.dim();
    let mut padded = Array2::zeros((height + 2, width + 2));
    padded.slice_mut(s![1..=height, 1..=width]).assign(plane);
    padded
}

fn dot(a: &Array2<f32>, b: &Array2<f32>) -> f64 {
    f64::from(Zip::from(a).and(b).fold(0.0_f32, |sum, x, y| sum + x * y))
}
