//! Smooth Grad-CAM++. Omeiza et al., *Smooth Grad-CAM++: An Enhanced Inference Level Visualization
//! Technique for Deep Convolutional Neural Network Models*, 2019, <https://arxiv.org/abs/1908.01224>,
//! equations 8 to 10.

use ndarray::{Array2, Array3, Axis, Zip};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rand_distr::StandardNormal;

use super::class_map::weighted_sum;
use super::perturbation::PerturbedInput;
use crate::error::Result;

/// Grad-CAM++ in which the powers `g`, `g²` and `g³` of the gradient are means over noisy copies of the input. The
/// standard deviation of the noise is 0.15 of the input's range (10 to 20 % in the paper). The noise is the same for
/// every picture, so that films do not flicker. `[C,h,w]` to `[h,w]`.
///
/// torchcam uses a standard deviation of 0.3 for every range, and rectifies the gradient before the mean over the
/// copies; equation 8 of the paper rectifies it after.
pub fn smooth_grad_cam_plus_plus(perturbed: &mut PerturbedInput) -> Result<Array2<f32>> {
    const COPIES: usize = 8;
    let (low, high) =
        perturbed.input.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
    let deviation = 0.15 * (high - low);
    let mut random = SmallRng::seed_from_u64(1);
    let zeros = || Array3::<f32>::zeros(perturbed.activations.dim());
    let (mut first, mut second, mut third) = (zeros(), zeros(), zeros());
    for _ in 0..COPIES {
        let copy = perturbed.input.mapv(|v| {
            let noise: f32 = random.sample(StandardNormal);
            v + deviation * noise
        });
        let gradients = (perturbed.run)(copy)?.gradients;
        Zip::from(&mut first).and(&mut second).and(&mut third).and(&gradients).for_each(|a, b, c, &g| {
            *a += g;
            *b += g * g;
            *c += g * g * g;
        });
    }
    let share = 1.0 / COPIES as f32;
    let weights = perturbed.activations.outer_iter().enumerate().map(|(k, activation)| {
        let sum = activation.sum();
        let mut weight = 0.0;
        let powers = [&first, &second, &third].map(|powers| powers.index_axis(Axis(0), k));
        Zip::from(powers[0]).and(powers[1]).and(powers[2]).for_each(|&g, &square, &cube| {
            let denominator = 2.0 * square + cube * sum;
            if g > 0.0 && denominator != 0.0 {
                weight += square / denominator * g * share;
            }
        });
        weight
    });
    Ok(weighted_sum(perturbed.activations, weights))
}
