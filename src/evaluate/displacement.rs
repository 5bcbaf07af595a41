//! How far maps are offset from what they show. Training can make a net answer beside what it sees, by more than strides and
//! padding tell; then the map of a mirrored picture is not the mirrored map.

use ndarray::{Array3, ArrayView2, s};
use serde::{Deserialize, Serialize};

use super::statistics::median;
use super::trial::Trial;
use crate::error::Result;

/// Less than this, in pixels, is not worth a correction: maps that reach over the edge of the picture seem to lie further in.
const LEAST: f32 = 2.0;

/// Of fewer pictures, a median says nothing.
const FEWEST: usize = 8;

/// How far maps lie to the right of and below what they show, `[x, y]`, in pixels of the model's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Displacement {
    /// Medians over the photos.
    pub pixels: [f32; 2],
    /// Their standard errors.
    pub error: [f32; 2],
}

/// Half of what separates the centre of a picture's map from that of its mirror image, mirrored back: `[x, y]`, by a
/// picture that is mirrored from left to right, and one from top to bottom. `None` where a map is empty.
///
/// # Errors
/// The runtime fails.
pub fn displacement(trial: &mut Trial) -> Result<Option<[f32; 2]>> {
    let mirrored: [Array3<f32>; 2] =
        [trial.input.slice(s![.., .., ..;-1]).to_owned(), trial.input.slice(s![.., ..;-1, ..]).to_owned()];
    let across = (trial.explain)(mirrored[0].view())?;
    let down = (trial.explain)(mirrored[1].view())?;
    let centres = [trial.map, across.slice(s![.., ..;-1]), down.slice(s![..;-1, ..])].map(centre);
    let [Some(before), Some(across), Some(down)] = centres else { return Ok(None) };
    Ok(Some([(before[0] - across[0]) / 2.0, (before[1] - down[1]) / 2.0]))
}

impl Displacement {
    /// The median of those of [`FEWEST`] or more pictures. Its error is that of a median of normally distributed values.
    pub fn of(pictures: &[[f32; 2]]) -> Option<Self> {
        if pictures.len() < FEWEST {
            return None;
        }
        let axis = |axis: usize| -> Option<(f32, f32)> {
            let values: Vec<f32> = pictures.iter().map(|displacement| displacement[axis]).collect();
            let middle = median(values.clone())?;
            let deviations = values.iter().map(|value| (value - middle).abs()).collect();
            // 1.4826 makes the median deviation a standard deviation, and the median's error is 1.2533 that of the mean.
            Some((middle, 1.4826 * 1.2533 * median(deviations)? / (values.len() as f32).sqrt()))
        };
        let [x, y] = [axis(0)?, axis(1)?];
        Some(Self { pixels: [x.0, y.0], error: [x.1, y.1] })
    }

    /// What of it is more than chance, that is two standard errors, and than [`LEAST`]; the other axis is 0. `None` if nothing
    /// is.
    pub fn certain(&self) -> Option<[f32; 2]> {
        let certain = |axis: usize| self.pixels[axis].abs() > f32::max(2.0 * self.error[axis], LEAST);
        let pixels = [0, 1].map(|axis| if certain(axis) { self.pixels[axis] } else { 0.0 });
        (certain(0) || certain(1)).then_some(pixels)
    }
}

/// The centre of a map's heat, `[x, y]`; `None` where it has none.
fn centre(map: ArrayView2<f32>) -> Option<[f32; 2]> {
    let mut sums = [0.0f64; 3];
    for ((row, column), &value) in map.indexed_iter() {
        let value = f64::from(value);
        sums = [sums[0] + value, sums[1] + value * column as f64, sums[2] + value * row as f64];
    }
    (sums[0] > 0.0).then(|| [(sums[1] / sums[0]) as f32, (sums[2] / sums[0]) as f32])
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn maps_that_lie_beside_what_they_show_are_found_out() {
        // A net whose map is the picture, moved by 2 to the right and 1 up.
        let moved = |input: ndarray::ArrayView3<f32>| {
            let (height, width) = (input.dim().1, input.dim().2);
            Ok(Array2::from_shape_fn((height, width), |(y, x)| {
                if x >= 2 && y + 1 < height { input[[0, y + 1, x - 2]] } else { 0.0 }
            }))
        };
        let mut input = Array3::zeros((1, 20, 20));
        input.slice_mut(s![0, 6..9, 8..11]).fill(1.0);
        let map = moved(input.view()).unwrap_or_else(|e: crate::Error| panic!("{e}"));
        let mut trial = Trial {
            input: input.view(),
            map: map.view(),
            blank: &[0.0],
            score: 1.0,
            classify: &mut |_| Ok(1.0),
            explain: &mut |input| moved(input),
        };
        let found = displacement(&mut trial);
        assert!(found.is_ok_and(|found| found == Some([2.0, -1.0])));
    }

    #[test]
    fn the_median_counts_where_it_is_more_than_its_error() {
        let far =
            [[9.0, 0.0], [10.0, 3.0], [11.0, -3.0], [90.0, 1.0], [9.5, 1.0], [10.0, 0.0], [10.5, -1.0], [11.0, 0.5]];
        let clear = Displacement::of(&far).unwrap_or_default();
        assert!((clear.pixels[0] - 10.25).abs() < 1e-6, "{clear:?}");
        assert!(clear.certain().is_some_and(|[x, y]| x > 10.0 && y == 0.0), "{clear:?}");
        let scattered = [[9.0, 0.0], [-10.0, 3.0], [11.0, -3.0], [-90.0, 1.0]].repeat(2);
        assert_eq!(Displacement::of(&scattered).and_then(|found| found.certain()), None);
        assert_eq!(Displacement::of(&far[..7]), None);
    }
}
