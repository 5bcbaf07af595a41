//! Bilinear enlargement of maps, and fusion of the maps of several layers.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{F32, U8};
use fast_image_resize::{FilterType, ImageView, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
use ndarray::{Array2, ArrayView2, Zip};

use super::class_map::CamMap;
use crate::error::{Error, Result};

/// A map resized bilinearly to `height` by `width`, interpolated between the centres of its cells.
///
/// # Errors
/// A side is 0.
pub fn enlarged(map: ArrayView2<f32>, height: usize, width: usize) -> Result<Array2<f32>> {
    let (h, w) = map.dim();
    if (h, w) == (height, width) && !map.is_empty() {
        return Ok(map.to_owned());
    }
    crop_map(map, &MapCrop { from: [0.0, 0.0], over: [h as f64, w as f64], height, width })
}

/// A part of a map resized bilinearly. Beyond the edges of the map, its outermost cells are repeated.
///
/// # Errors
/// A side is 0.
pub fn crop_map(map: ArrayView2<f32>, crop: &MapCrop) -> Result<Array2<f32>> {
    let mut enlarger = Enlarger::<F32>::default();
    let values = enlarger.run(map, F32::new, crop)?.iter().map(|value| value.0).collect();
    Array2::from_shape_vec((crop.height, crop.width), values).map_err(|e| Error::input("map", e))
}

/// A part of a map, and the size in pixels to which it is enlarged.
#[derive(Clone, Copy, Debug)]
pub struct MapCrop {
    /// Its upper left corner `[row, column]`, in cells from the upper left corner of the map.
    pub from: [f64; 2],
    /// Its size `[rows, columns]`, in cells.
    pub over: [f64; 2],
    /// The height after enlargement, in pixels.
    pub height: usize,
    /// The width after enlargement, in pixels.
    pub width: usize,
}

/// Enlarges maps, reusing its buffers.
pub struct Enlarger<P: PixelTrait> {
    resizer: Resizer,
    cells: Vec<P>,
    /// The map at full width, still with its own rows.
    wide: TypedImage<'static, P>,
    full: TypedImage<'static, P>,
}

impl<P: PixelTrait> Default for Enlarger<P> {
    fn default() -> Self {
        let empty = || TypedImage::new(0, 0);
        Self { resizer: Resizer::new(), cells: Vec::new(), wide: empty(), full: empty() }
    }
}

impl Enlarger<U8> {
    /// As [`crop_map`], row by row in levels 0..=255, where 255 is the largest value of the map.
    ///
    /// # Errors
    /// A side is 0.
    pub fn levels(&mut self, map: &CamMap, crop: &MapCrop) -> Result<&[U8]> {
        self.run(map.values.view(), |value| U8::new((value * 255.0 / map.max).round() as u8), crop)
    }
}

impl<P: PixelTrait> Enlarger<P> {
    fn run(&mut self, map: ArrayView2<f32>, cell: impl Fn(f32) -> P, crop: &MapCrop) -> Result<&[P]> {
        let MapCrop { from, over, height, width } = *crop;
        let failed = |e: &dyn std::fmt::Display| Error::input("map", format!("cannot be enlarged: {e}"));
        let (h, w) = map.dim();
        if h == 0 || w == 0 {
            return Err(failed(&"it is empty"));
        }
        let beyond =
            |from: f64, over: f64, cells: usize| (-from).max(from + over - cells as f64).max(0.0).ceil() as usize;
        let margin = [beyond(from[0], over[0], h), beyond(from[1], over[1], w)];
        let nearest = |index: usize, margin: usize, cells: usize| index.saturating_sub(margin).min(cells - 1);
        let [rows, columns] = [h + 2 * margin[0], w + 2 * margin[1]];
        self.cells.clear();
        for y in 0..rows {
            self.cells.extend((0..columns).map(|x| cell(map[[nearest(y, margin[0], h), nearest(x, margin[1], w)]])));
        }
        let small = TypedImageRef::new(columns as u32, rows as u32, &self.cells).map_err(|e| failed(&e))?;
        let (width, height) = (width as u32, height as u32);
        fit(&mut self.wide, width, rows as u32);
        fit(&mut self.full, width, height);
        let bilinear = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        let [top, left] = [0, 1].map(|axis| from[axis] + margin[axis] as f64);
        // Columns first, while there are few rows; in a single step the resizer may start with the rows.
        let across = bilinear.crop(left, 0.0, over[1], rows as f64);
        self.resizer.resize_typed(&small, &mut self.wide, &across).map_err(|e| failed(&e))?;
        let down = bilinear.crop(0.0, top, f64::from(width), over[0]);
        self.resizer.resize_typed(&self.wide, &mut self.full, &down).map_err(|e| failed(&e))?;
        Ok(self.full.pixels())
    }
}

fn fit<P: PixelTrait>(image: &mut TypedImage<'static, P>, width: u32, height: u32) {
    if (image.width(), image.height()) != (width, height) {
        *image = TypedImage::new(width, height);
    }
}

/// How the maps of several layers become one, each enlarged to the finest grid and divided by its largest value (Jiang
/// et al., *LayerCAM*, IEEE TIP 2021, section III-C).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fusion {
    /// The largest value at each cell.
    #[default]
    Max,
    Mean,
    /// What all layers show: a fine layer sharpens what a deep one locates. Each map is scaled so that its least value is 0
    /// (Domeniconi et al., *How to Evaluate and Refine your CAM*, 2026).
    Product,
}

/// A layer is early if its grid is this many times as fine as the coarsest: the first three of VGG's five stages.
const EARLY: usize = 4;

/// Fuses the maps of several layers at the finest grid, each divided by its largest value. A map without evidence counts as
/// zero. With `gain`, the maps of early layers, which are weak but for a few cells, become `tanh(gain M)`.
///
/// `part` gives for the number of a layer and the size `[rows, columns]` of the fused map the part of the layer's map that lies
/// under it, in cells: the upper left corner `[row, column]`, and the size `[rows, columns]`.
///
/// # Errors
/// A map is empty.
pub fn fused(
    maps: Vec<Array2<f32>>,
    part: impl Fn(usize, [usize; 2]) -> [[f64; 2]; 2],
    fusion: Fusion,
    gain: Option<f32>,
) -> Result<Array2<f32>> {
    let sides = |side: fn(&Array2<f32>) -> usize| maps.iter().map(side).max().unwrap_or(0);
    let (height, width) = (sides(Array2::nrows), sides(Array2::ncols));
    let coarsest = maps.iter().map(Array2::nrows).min().unwrap_or(0);
    let start = if fusion == Fusion::Product { 1.0 } else { 0.0 };
    let mut whole = Array2::from_elem((height, width), start);
    let share = 1.0 / maps.len() as f32;
    for (layer, map) in maps.into_iter().enumerate() {
        let CamMap { mut values, max, min, evidence, .. } = CamMap::new(map);
        let least = if fusion == Fusion::Product { min } else { 0.0 };
        if !values.is_empty() && (!evidence || max <= least) {
            // A map without evidence, as that of a detector's level without a box, is zero everywhere.
            if fusion == Fusion::Product {
                whole.fill(0.0);
            }
            continue;
        }
        let scale = 1.0 / (max - least);
        values.mapv_inplace(|v| (v - least) * scale);
        if let Some(gain) = gain.filter(|_| values.nrows() >= EARLY * coarsest) {
            values.mapv_inplace(|v| (gain * v).tanh());
        }
        let [from, over] = part(layer, [height, width]);
        let resized = crop_map(values.view(), &MapCrop { from, over, height, width })?;
        Zip::from(&mut whole).and(&resized).for_each(|whole: &mut f32, &v| match fusion {
            Fusion::Max => *whole = whole.max(v),
            Fusion::Mean => *whole += v * share,
            Fusion::Product => *whole *= v,
        });
    }
    Ok(whole)
}
