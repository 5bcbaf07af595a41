//! A model's input tensor from a `.npy` file.

use std::path::Path;

use image::{Rgb, RgbImage};
use ndarray::{ArrayView3, Axis, Ix3};

use super::interface::Source;
use crate::error::{Error, Result};
use crate::files::read_npy;
use crate::media::Frame;

/// A tensor file.
pub struct TensorSource {
    frame: Option<Frame>,
}

impl TensorSource {
    /// Reads `[C,h,w]` or `[h,w,C]` with 1 or 3 channels, optionally with a batch axis of length 1.
    ///
    /// # Errors
    /// The file does not hold such an array.
    pub fn open(path: &Path) -> Result<Self> {
        let tensor = read_npy(path)?.mapv(|value| value as f32);
        let shape = tensor.shape().to_vec();
        let single = if shape.len() == 4 && shape[0] == 1 { tensor.index_axis(Axis(0), 0) } else { tensor.view() };
        let not_a_picture = || {
            let remedy = "give [C,h,w] or [h,w,C] with 1 or 3 channels";
            Error::input(path, format!("its shape {shape:?} is not that of a picture; {remedy}"))
        };
        let picture = single.into_dimensionality::<Ix3>().ok().and_then(|picture| to_picture(picture));
        let picture = picture.ok_or_else(not_a_picture)?;
        Ok(Self { frame: Some(Frame::alone(path, picture, Some(tensor))) })
    }
}

/// A picture of a tensor. The smallest value is black, the largest white.
fn to_picture(tensor: ArrayView3<f32>) -> Option<RgbImage> {
    let channels_first = match tensor.dim() {
        (1 | 3, _, _) => tensor,
        (_, _, 1 | 3) => tensor.permuted_axes([2, 0, 1]),
        _ => return None,
    };
    let (channels, height, width) = channels_first.dim();
    let finite = channels_first.iter().copied().filter(|v| v.is_finite());
    let (low, high) = finite.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let range = if high > low { high - low } else { 1.0 };
    let level = |c: usize, x: u32, y: u32| {
        ((channels_first[[c.min(channels - 1), y as usize, x as usize]] - low) / range * 255.0) as u8
    };
    if height == 0 || width == 0 {
        return None;
    }
    Some(RgbImage::from_fn(width as u32, height as u32, |x, y| Rgb([0, 1, 2].map(|c| level(c, x, y)))))
}

impl Source for TensorSource {
    fn next_frame(&mut self) -> Result<Option<Frame>> {
        Ok(self.frame.take())
    }

    fn frame_count(&self) -> Option<u64> {
        Some(1)
    }
}
