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
    let (h, w) = map.dim();
    Enlarger::default().window(map, &Window { from: [0.0, 0.0], over: [h as f64, w as f64], height, width })
}

/// A part of a map, and the size that it is brought to.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Where it begins, `[row, column]`, counted in cells from the map's upper left corner.
    pub from: [f64; 2],
    /// How far it reaches, `[rows, columns]` of cells.
    pub over: [f64; 2],
    /// In pixels.
    pub height: usize,
    pub width: usize,
}

/// Enlarges maps; its buffers are used again for each.
#[derive(Default)]
pub struct Enlarger {
    resizer: Resizer,
    large: Option<Image<'static>>,
}

impl Enlarger {
    /// A part of a map bilinearly at another size. Beyond the map's edges it goes on as it is there.
    ///
    /// # Errors
    /// A side is 0.
    pub fn window(&mut self, map: ArrayView2<f32>, window: &Window) -> Result<Array2<f32>> {
        let values = self.window_rows(map, window)?.flatten().collect();
        Array2::from_shape_vec((window.height, window.width), values).map_err(|e| Error::input("map", e))
    }

    /// As [`Enlarger::window`], row by row.
    ///
    /// # Errors
    /// A side is 0.
    pub fn window_rows(
        &mut self,
        map: ArrayView2<f32>,
        window: &Window,
    ) -> Result<impl Iterator<Item = impl Iterator<Item = f32>>> {
        let Window { from, over, .. } = *window;
        let failed = |e: &dyn std::fmt::Display| Error::input("map", format!("cannot be enlarged: {e}"));
        let (h, w) = map.dim();
        if h == 0 || w == 0 {
            return Err(failed(&"it is empty"));
        }
        let beyond =
            |from: f64, over: f64, cells: usize| (-from).max(from + over - cells as f64).max(0.0).ceil() as usize;
        let margin = [beyond(from[0], over[0], h), beyond(from[1], over[1], w)];
        let near = |at: usize, margin: usize, cells: usize| at.saturating_sub(margin).min(cells - 1);
        let shape = (h + 2 * margin[0], w + 2 * margin[1]);
        let whole = Array2::from_shape_fn(shape, |(y, x)| map[[near(y, margin[0], h), near(x, margin[1], w)]]);
        let bytes = whole.iter().flat_map(|v| v.to_ne_bytes()).collect();
        let small =
            Image::from_vec_u8(shape.1 as u32, shape.0 as u32, bytes, PixelType::F32).map_err(|e| failed(&e))?;
        let (width, height) = (window.width as u32, window.height as u32);
        let fits = |large: &Image| (large.width(), large.height()) == (width, height);
        let kept = self.large.take().filter(fits);
        let large = self.large.insert(kept.unwrap_or_else(|| Image::new(width, height, PixelType::F32)));
        let bilinear = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        let [top, left] = [0, 1].map(|axis| from[axis] + margin[axis] as f64);
        let part = bilinear.crop(left, top, over[1], over[0]);
        self.resizer.resize(&small, large, &part).map_err(|e| failed(&e))?;
        let rows = large.buffer().chunks_exact(4 * width as usize);
        Ok(rows.map(|row| row.as_chunks().0.iter().map(|bytes| f32::from_ne_bytes(*bytes))))
    }
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
