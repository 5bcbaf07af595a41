//! Score-CAM. Wang et al., *Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural
//! Networks*, CVPR Workshops 2020, <https://arxiv.org/abs/1910.01279>, algorithm 1.

use fast_image_resize::images::Image;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use ndarray::{Array2, ArrayView2};

use super::{Whole, weighted_sum};
use crate::error::{Error, Result};

/// `L = ReLU(Σ_k w_k A^k)`, `w` the softmax over the channels of the class's logit for the input masked by
/// `A^k`, which is enlarged and brought to 0..1. `[C,h,w]` to `[h,w]`.
///
/// The mask is enlarged bilinearly between the middles of its cells, as torchcam does; pytorch-grad-cam
/// stretches it to the corners.
pub fn score_cam(whole: &mut Whole) -> Result<Array2<f32>> {
    let (_, height, width) = whole.input.dim();
    let mut scores = Vec::with_capacity(whole.activations.dim().0);
    for activation in whole.activations.outer_iter() {
        let mut mask = enlarged(activation, height, width)?;
        let (low, high) =
            mask.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
        mask.mapv_inplace(|v| (v - low) / (high - low + 1e-8));
        scores.push((whole.run)(&whole.input * &mask)?.score.logit);
    }
    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = scores.iter().map(|score| (score - highest).exp()).collect();
    let sum: f32 = powers.iter().sum();
    Ok(weighted_sum(whole.activations, powers.iter().map(|power| power / sum)))
}

fn enlarged(map: ArrayView2<f32>, height: usize, width: usize) -> Result<Array2<f32>> {
    let failed = |e: &dyn std::fmt::Display| Error::input("activations", format!("cannot be enlarged: {e}"));
    let (h, w) = map.dim();
    let bytes = map.iter().flat_map(|v| v.to_ne_bytes()).collect();
    let small = Image::from_vec_u8(w as u32, h as u32, bytes, PixelType::F32).map_err(|e| failed(&e))?;
    let mut large = Image::new(width as u32, height as u32, PixelType::F32);
    let bilinear = ResizeOptions::new().resize_alg(ResizeAlg::Interpolation(FilterType::Bilinear));
    Resizer::new().resize(&small, &mut large, &bilinear).map_err(|e| failed(&e))?;
    let (chunks, _) = large.buffer().as_chunks();
    let values = chunks.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect();
    Array2::from_shape_vec((height, width), values).map_err(|e| failed(&e))
}
