//! Smooth Grad-CAM++. Omeiza et al., *Smooth Grad-CAM++: An Enhanced Inference Level Visualization
//! Technique for Deep Convolutional Neural Network Models*, 2019, <https://arxiv.org/abs/1908.01224>,
//! equations 8 to 10.

use ndarray::{Array2, Array3, Zip};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rand_distr::StandardNormal;

use super::{Whole, weighted_sum};
use crate::error::Result;

/// Grad-CAM++ with the powers of the gradient `g`, `g²` and `g³` each a mean over noisy copies of the input.
/// The noise has the deviation 0.15 of the input's range (the paper's 10 to 20 %), and is the same for every
/// picture, so that a film does not flicker. `[C,h,w]` to `[h,w]`.
///
/// torchcam, whose noise has the deviation 0.3 whatever the range, rectifies the gradient before
/// its mean over the copies; the paper's equation 8 takes it after.
pub fn smooth_grad_cam_plus_plus(whole: &mut Whole) -> Result<Array2<f32>> {
    const COPIES: usize = 8;
    let (low, high) =
        whole.input.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
    let deviation = 0.15 * (high - low);
    let mut random = SmallRng::seed_from_u64(1);
    let zeros = || Array3::<f32>::zeros(whole.activations.dim());
    let (mut first, mut second, mut third) = (zeros(), zeros(), zeros());
    for _ in 0..COPIES {
        let copy = whole.input.mapv(|v| {
            let noise: f32 = random.sample(StandardNormal);
            v + deviation * noise
        });
        let gradients = (whole.run)(copy)?.gradients;
        Zip::from(&mut first).and(&mut second).and(&mut third).and(&gradients).for_each(|a, b, c, &g| {
            *a += g;
            *b += g * g;
            *c += g * g * g;
        });
    }
    let share = 1.0 / COPIES as f32;
    let weights = whole.activations.outer_iter().enumerate().map(|(k, activation)| {
        let sum = activation.sum();
        let mut weight = 0.0;
        let powers = [&first, &second, &third].map(|powers| powers.index_axis(ndarray::Axis(0), k));
        Zip::from(powers[0]).and(powers[1]).and(powers[2]).for_each(|&g, &square, &cube| {
            let bottom = 2.0 * square + cube * sum;
            if g > 0.0 && bottom != 0.0 {
                weight += square / bottom * g * share;
            }
        });
        weight
    });
    Ok(weighted_sum(whole.activations, weights))
}
