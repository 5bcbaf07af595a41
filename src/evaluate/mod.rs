//! Is the model right, and are its maps true? One measure a file, each with its paper.
//!
//! Measures of a map get a [`Trial`]: one picture, its map, and the model to ask about changed copies.

mod adcc;
mod average_drop;
mod calibration;
mod confusion;
mod flicker;
mod grid_pointing;
mod insertion_deletion;
mod photos;
mod randomisation;
mod road;
mod run;
mod statistics;

use ndarray::{Array2, Array3, ArrayView2, ArrayView3};

pub use adcc::{Adcc, adcc};
pub use average_drop::{Change, average_drop};
pub use calibration::{Bin, calibration_error, reliability};
pub use confusion::Confusion;
pub use flicker::{Motion, motion};
pub use grid_pointing::{Grid, energy_in_tile, grids};
pub use insertion_deletion::{Curves, area_under, insertion_deletion};
pub use photos::{Photo, labelled_photos};
pub use randomisation::{Sanity, randomised};
pub use road::{Road, imputed, road};
pub use run::{Case, Evaluation, Faithfulness, FilmMotion, Measured, Plan, evaluate};
pub use statistics::{pearson, spearman};

use crate::error::Result;

/// One picture with its map, and the model to ask about changed copies of it.
pub struct Trial<'a> {
    /// The model's input `[C,H,W]`, preprocessed.
    pub input: ArrayView3<'a, f32>,
    /// `[H,W]`, 0..=1.
    pub map: ArrayView2<'a, f32>,
    /// What stands for nothing in each channel.
    pub blank: &'a [f32],
    /// The explained class's probability in the picture as it is.
    pub score: f32,
    /// That probability in another input.
    pub classify: &'a mut dyn FnMut(ArrayView3<f32>) -> Result<f32>,
    /// The class's map `[H,W]` of another input, 0..=1.
    pub explain: &'a mut dyn FnMut(ArrayView3<f32>) -> Result<Array2<f32>>,
}

impl Trial<'_> {
    /// The picture as far as the map shows it: blank where the map is 0.
    pub fn masked(&self) -> Array3<f32> {
        let mut masked = self.input.to_owned();
        for (mut channel, &blank) in masked.outer_iter_mut().zip(self.blank) {
            ndarray::Zip::from(&mut channel).and(self.map).for_each(|v, &m| *v = blank + (*v - blank) * m);
        }
        masked
    }

    /// All places, row by row, the map's largest value first.
    pub fn ranking(&self) -> Vec<usize> {
        let values: Vec<f32> = self.map.iter().copied().collect();
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        order
    }
}

/// A map brought to 0..=1 by its smallest and largest value, as pytorch-grad-cam does it; one that is the
/// same everywhere becomes 0.
pub fn to_unit(mut map: Array2<f32>) -> Array2<f32> {
    let low = map.iter().copied().fold(f32::INFINITY, f32::min);
    let high = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let range = if high > low { high - low } else { 1.0 };
    map.mapv_inplace(|v| (v - low) / range);
    map
}
