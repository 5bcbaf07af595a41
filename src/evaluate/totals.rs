//! Means of the measures over the photos.

use super::adcc::Adcc;
use super::arcc::arcc;
use super::insertion_deletion::{Curves, area_under};
use super::progress::PhotoMeasured;
use super::report::Faithfulness;

/// The means over photos, and those of their curves, which have `steps` steps. Zeros without photos.
pub fn means(photos: &[PhotoMeasured], steps: usize) -> (Faithfulness, Curves) {
    let mean = |value: fn(&PhotoMeasured) -> f32| photos.iter().map(value).sum::<f32>() / photos.len().max(1) as f32;
    let curve = |of: fn(&Curves) -> &Vec<f32>| -> Vec<f32> {
        let at = |step: usize| photos.iter().filter_map(|photo| of(&photo.curves).get(step)).sum::<f32>();
        (0..=steps).map(|step| at(step) / photos.len().max(1) as f32).collect()
    };
    let curves = Curves { insertion: curve(|curves| &curves.insertion), deletion: curve(|curves| &curves.deletion) };
    let adcc = Adcc {
        coherency: mean(|photo| photo.adcc.coherency),
        complexity: mean(|photo| photo.adcc.complexity),
        drop: mean(|photo| photo.adcc.drop),
    };
    let faithfulness = Faithfulness {
        insertion: area_under(&curves.insertion),
        deletion: area_under(&curves.deletion),
        average_drop: adcc.drop,
        increase: mean(|photo| f32::from(photo.change.increased)),
        // The paper defines ADCC on the means.
        adcc: adcc.value(),
        road: mean(|photo| photo.road.combined()),
        arcc: mean(|photo| arcc(photo.adcc, photo.road)),
        stability: mean(|photo| photo.stability),
        grid_pointing: None,
    };
    (faithfulness, curves)
}
