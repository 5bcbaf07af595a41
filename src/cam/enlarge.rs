//! Maps at a finer grid.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{F32, U8};
use fast_image_resize::{FilterType, ImageView, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
use ndarray::{Array2, ArrayView2, Zip};

use super::CamMap;
use crate::error::{Error, Result};

/// A map bilinearly at another size, between the middles of its cells.
///
/// # Errors
/// A side is 0.
pub fn enlarged(map: ArrayView2<f32>, height: usize, width: usize) -> Result<Array2<f32>> {
    let (h, w) = map.dim();
    window(map, &Window { from: [0.0, 0.0], over: [h as f64, w as f64], height, width })
}

/// A part of a map bilinearly at another size. Beyond the map's edges it goes on as it is there.
///
/// # Errors
/// A side is 0.
pub fn window(map: ArrayView2<f32>, window: &Window) -> Result<Array2<f32>> {
    let mut large = Enlarger::<F32>::default();
    let values = large.run(map, F32::new, window)?.iter().map(|value| value.0).collect();
    Array2::from_shape_vec((window.height, window.width), values).map_err(|e| Error::input("map", e))
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

/// Enlarges maps of one kind of number; its buffers are used again for each.
pub struct Enlarger<P: PixelTrait> {
    resizer: Resizer,
    cells: Vec<P>,
    /// As many rows as the map has, as wide as the window.
    wide: TypedImage<'static, P>,
    large: TypedImage<'static, P>,
}

impl<P: PixelTrait> Default for Enlarger<P> {
    fn default() -> Self {
        let empty = || TypedImage::new(0, 0);
        Self { resizer: Resizer::new(), cells: Vec::new(), wide: empty(), large: empty() }
    }
}

impl Enlarger<U8> {
    /// As [`window`], row by row in levels of which 255 is the map's largest value.
    ///
    /// # Errors
    /// A side is 0.
    pub fn levels(&mut self, map: &CamMap, window: &Window) -> Result<&[U8]> {
        self.run(map.values.view(), |value| U8::new((value * 255.0 / map.max).round() as u8), window)
    }
}

impl<P: PixelTrait> Enlarger<P> {
    fn run(&mut self, map: ArrayView2<f32>, cell: impl Fn(f32) -> P, window: &Window) -> Result<&[P]> {
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
        let [rows, columns] = [h + 2 * margin[0], w + 2 * margin[1]];
        self.cells.clear();
        for y in 0..rows {
            self.cells.extend((0..columns).map(|x| cell(map[[near(y, margin[0], h), near(x, margin[1], w)]])));
        }
        let small = TypedImageRef::new(columns as u32, rows as u32, &self.cells).map_err(|e| failed(&e))?;
        let (width, height) = (window.width as u32, window.height as u32);
        fit(&mut self.wide, width, rows as u32);
        fit(&mut self.large, width, height);
        let bilinear = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        let [top, left] = [0, 1].map(|axis| from[axis] + margin[axis] as f64);
        // Across first, while the rows are few; in one step the resizer may go down first.
        let across = bilinear.crop(left, 0.0, over[1], rows as f64);
        self.resizer.resize_typed(&small, &mut self.wide, &across).map_err(|e| failed(&e))?;
        let down = bilinear.crop(0.0, top, f64::from(width), over[0]);
        self.resizer.resize_typed(&self.wide, &mut self.large, &down).map_err(|e| failed(&e))?;
        Ok(self.large.pixels())
    }
}

fn fit<P: PixelTrait>(image: &mut TypedImage<'static, P>, width: u32, height: u32) {
    if (image.width(), image.height()) != (width, height) {
        *image = TypedImage::new(width, height);
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
