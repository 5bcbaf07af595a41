//! The flicker and the lag of maps along a film.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::statistics::pearson;
use super::trial::to_unit;

/// How maps change from frame to frame.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Motion {
    /// The mean absolute change of the map, scaled to 0..=1, from one frame to the next. For a static scene, less is
    /// better.
    pub flicker: f32,
    /// By how many frames the maps lag those of single frames: the shift at which both are most similar.
    pub lag: usize,
}

/// The motion of the `shown` maps, which are smoothed from the maps of `single` frames.
pub fn motion(shown: &[Array2<f32>], single: &[Array2<f32>]) -> Motion {
    const MOST_LAG: usize = 15;
    let units: Vec<Array2<f32>> = shown.iter().cloned().map(to_unit).collect();
    let change = |pair: &[Array2<f32>]| (&pair[1] - &pair[0]).mapv(f32::abs).mean().unwrap_or(0.0);
    let changes: Vec<f32> = units.windows(2).map(change).collect();
    let similarity = |lag: usize| {
        let pairs = shown.iter().skip(MOST_LAG).zip(single.iter().skip(MOST_LAG - lag));
        let each = pairs.map(|(a, b)| pearson(a.iter().copied(), b.iter().copied()));
        each.sum::<f32>()
    };
    let lags = 0..=MOST_LAG.min(shown.len());
    Motion {
        flicker: changes.iter().sum::<f32>() / changes.len().max(1) as f32,
        // Of equal ones the least.
        lag: lags.rev().map(|lag| (lag, similarity(lag))).max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(lag, _)| lag),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_film_that_tells_nothing_has_no_lag() {
        let still = vec![Array2::from_shape_fn((2, 2), |(y, x)| (y + 2 * x) as f32); 40];
        assert_eq!(motion(&still[..10], &still[..10]).lag, 0);
        assert_eq!(motion(&still, &still).lag, 0);
    }
}
