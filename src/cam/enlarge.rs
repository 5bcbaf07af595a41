//! Maps at a finer grid.

use fast_image_resize::images::Image;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use ndarray::{Array2, ArrayView2, Zip};

use super::CamMap;
use crate::error::{Error, Result};

/// A map bilinearly at another size, between the middles of its cells.
///
/// # Errors
/// A side is 0.
pub fn enlarged(map: ArrayView2<f32>, height: usize, width: usize) -> Result<Array2<f32>> {
    let failed = |e: &dyn std::fmt::Display| Error::input("map", format!("cannot be enlarged: {e}"));
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

/// Maps of several layers as one at the finest grid, each divided by its largest value; a map without
/// evidence takes no part in the largest, and is zero in the mean.
///
/// # Errors
/// A map is empty.
pub fn fused(maps: Vec<Array2<f32>>, by_mean: bool) -> Result<Array2<f32>> {
    let sides = |side: fn(&Array2<f32>) -> usize| maps.iter().map(side).max().unwrap_or(0);
    let (height, width) = (sides(Array2::nrows), sides(Array2::ncols));
    let mut whole = Array2::zeros((height, width));
    let share = 1.0 / maps.len() as f32;
    for map in maps {
        let map = CamMap::new(map);
        if !map.evidence {
            continue;
        }
        let even = enlarged((&map.values / map.max).view(), height, width)?;
        Zip::from(&mut whole).and(&even).for_each(|sum: &mut f32, &v| {
            *sum = if by_mean { *sum + v * share } else { sum.max(v) };
        });
    }
    Ok(whole)
}
