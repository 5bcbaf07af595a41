//! One picture and its map, as the measures of maps take them.

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Zip};

use crate::error::Result;

/// One picture, its map, and the model for changed copies of the picture.
pub struct Trial<'a> {
    /// The model's input `[C,H,W]`, preprocessed.
    pub input: ArrayView3<'a, f32>,
    /// `[H,W]`, 0..=1.
    pub map: ArrayView2<'a, f32>,
    /// The value of a blank pixel in each channel.
    pub blank: &'a [f32],
    /// The explained class's probability in the unchanged picture, 0..=1.
    pub score: f32,
    /// The class's probability in another input, 0..=1.
    pub classify: &'a mut dyn FnMut(ArrayView3<f32>) -> Result<f32>,
    /// The class's map `[H,W]` of another input, 0..=1.
    pub explain: &'a mut dyn FnMut(ArrayView3<f32>) -> Result<Array2<f32>>,
}

impl Trial<'_> {
    /// The picture masked by the map: blank where the map is 0.
    pub fn masked(&self) -> Array3<f32> {
        let mut masked = self.input.to_owned();
        for (mut channel, &blank) in masked.outer_iter_mut().zip(self.blank) {
            Zip::from(&mut channel).and(self.map).for_each(|v, &m| *v = blank + (*v - blank) * m);
        }
        masked
    }

    /// The indices of all pixels, row by row, in descending order of the map.
    pub fn ranking(&self) -> Vec<usize> {
        let values: Vec<f32> = self.map.iter().copied().collect();
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        order
    }
}

/// A map scaled to 0..=1 by its smallest and largest value, as in pytorch-grad-cam; a constant map becomes 0.
pub fn to_unit(mut map: Array2<f32>) -> Array2<f32> {
    let low = map.iter().copied().fold(f32::INFINITY, f32::min);
    let high = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let range = if high > low { high - low } else { 1.0 };
    map.mapv_inplace(|v| (v - low) / range);
    map
}
