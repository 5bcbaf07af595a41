//! Remove and debias: Rong et al., *A Consistent and Efficient Evaluation Strategy for Attribution Methods*,
//! ICML 2022, <https://arxiv.org/abs/2202.00449>, section 4.

use ndarray::{Array2, Array3, ArrayView3, Axis, Zip};
use rand::rngs::SmallRng;
use rand_distr::{Distribution, Normal};

use super::Trial;
use crate::error::Result;

/// The class's probability, less that in the whole picture, with a share of the pixels removed, a mean
/// over shares of 0.1 to 0.9.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Road {
    /// The least relevant pixels removed; should stay.
    pub least_first: f32,
    /// The most relevant ones removed; should fall.
    pub most_first: f32,
}

impl Road {
    /// Half the difference, as in pytorch-grad-cam; more is better.
    pub fn combined(&self) -> f32 {
        (self.least_first - self.most_first) / 2.0
    }
}

/// `noise` is the deviation of what is added to imputed pixels, in the model's input.
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
            order[..removed].iter().for_each(|place| kept[[place / width, place % width]] = false);
            let copy = imputed(trial.input, &kept, noise, random);
            *mean += ((trial.classify)(copy.view())? - trial.score) / shares.len() as f32;
        }
    }
    Ok(Road { least_first: means[0], most_first: means[1] })
}

/// The neighbours of a pixel: steps down and across, weight.
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

/// A picture `[C,H,W]` in which each pixel that is not kept is the weighted mean of its neighbours, plus
/// noise: the paper's noisy linear imputation. At least one pixel must be kept.
pub fn imputed(picture: ArrayView3<f32>, kept: &Array2<bool>, noise: f32, random: &mut SmallRng) -> Array3<f32> {
    let mut filled = picture.to_owned();
    for mut channel in filled.axis_iter_mut(Axis(0)) {
        let solved = System::new(channel.to_owned(), kept).solve();
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

/// The linear equations of one channel: for each missing pixel `Σ w (x - neighbour) = 0`. The matrix is
/// symmetric and positive definite, so conjugate gradients solve it (Hestenes and Stiefel 1952).
///
/// Planes have a margin of one pixel, so that neighbours need no bounds; beyond the picture weights are 0.
struct System {
    values: Array2<f32>,
    /// 1 where a pixel is missing.
    missing: Array2<f32>,
    /// The sum of the weights of the neighbours within the picture.
    degree: Array2<f32>,
    /// 1 within the picture.
    within: Array2<f32>,
}

impl System {
    fn new(channel: Array2<f32>, kept: &Array2<bool>) -> Self {
        let (height, width) = channel.dim();
        let padded = |at: &dyn Fn(usize, usize) -> f32| {
            Array2::from_shape_fn((height + 2, width + 2), |(y, x)| {
                let inside = (1..=height).contains(&y) && (1..=width).contains(&x);
                if inside { at(y - 1, x - 1) } else { 0.0 }
            })
        };
        let missing = padded(&|y, x| if kept[[y, x]] { 0.0 } else { 1.0 });
        let within = padded(&|_, _| 1.0);
        let mut system = Self { values: padded(&|y, x| channel[[y, x]]), missing, degree: within.clone(), within };
        let degree = system.neighbours(&system.within);
        system.degree = degree;
        system
    }

    /// The weighted sum of each pixel's neighbours.
    fn neighbours(&self, plane: &Array2<f32>) -> Array2<f32> {
        let (height, width) = plane.dim();
        let mut sums = Array2::zeros(plane.dim());
        let (from, to) = (plane.as_slice().unwrap_or_default(), sums.as_slice_mut().unwrap_or_default());
        for y in 1..height - 1 {
            let row = &mut to[y * width + 1..(y + 1) * width - 1];
            for (down, across, weight) in NEIGHBOURS {
                let start = (y as isize + down) as usize * width + (1 + across) as usize;
                for (sum, value) in row.iter_mut().zip(&from[start..]) {
                    *sum += weight * value;
                }
            }
        }
        sums
    }

    /// The missing pixels' equations applied to a plane that is 0 elsewhere.
    fn applied(&self, plane: &Array2<f32>) -> Array2<f32> {
        let mut applied = self.neighbours(plane);
        Zip::from(&mut applied)
            .and(plane)
            .and(&self.degree)
            .and(&self.missing)
            .for_each(|a, &v, &d, &m| *a = (d * v - *a) * m);
        applied
    }

    fn solve(mut self) -> Array2<f32> {
        const MOST_STEPS: usize = 5000;
        let known = &self.values * &(&self.within - &self.missing);
        let count = (self.within.sum() - self.missing.sum()).max(1.0);
        let start = &self.missing * (known.sum() / count);
        let mut solution = start;
        let mut residual = self.neighbours(&known) * &self.missing - self.applied(&solution);
        let mut direction = residual.clone();
        let mut length = dot(&residual, &residual);
        let enough = (1e-5_f64).powi(2) * f64::from(self.missing.sum());
        for _ in 0..MOST_STEPS {
            if length <= enough {
                break;
            }
            let applied = self.applied(&direction);
            let step = (length / dot(&direction, &applied)) as f32;
            solution.scaled_add(step, &direction);
            residual.scaled_add(-step, &applied);
            let next = dot(&residual, &residual);
            let keep = (next / length) as f32;
            Zip::from(&mut direction).and(&residual).for_each(|d, &r| *d = r + keep * *d);
            length = next;
        }
        self.values = known + solution;
        let (height, width) = self.values.dim();
        self.values.slice(ndarray::s![1..height - 1, 1..width - 1]).to_owned()
    }
}

fn dot(a: &Array2<f32>, b: &Array2<f32>) -> f64 {
    f64::from(Zip::from(a).and(b).fold(0.0_f32, |sum, x, y| sum + x * y))
}
