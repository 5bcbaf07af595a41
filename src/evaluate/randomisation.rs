//! Sanity checks: Adebayo et al., *Sanity Checks for Saliency Maps*, `NeurIPS` 2018,
//! <https://arxiv.org/abs/1810.03292>, section 3.1. A map that does not change with the weights shows the
//! picture, not the model.

use image::RgbImage;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::parallel::parallel_map;
use super::statistics::spearman;
use crate::error::Result;
use crate::explain::Explainer;
use crate::model::{ModelOptions, Randomised, Request};

/// How similar the maps stay as weights are randomised, from the logits down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sanity {
    /// The shares of the weight tensors that are randomised, 0..=1.
    pub shares: Vec<f32>,
    /// For each share, Spearman's rank correlation with the maps of the trained model, as a mean over the pictures. It
    /// should fall to about 0.
    pub similarity: Vec<f32>,
}

/// `pictures` are pictures, each with the explained class and the map of the trained model. `workers` shares are measured at
/// once.
///
/// # Errors
/// The model cannot be prepared, or the runtime fails.
pub fn randomised(
    options: &ModelOptions,
    request: &Request,
    pictures: &[(&RgbImage, usize, &Array2<f32>)],
    seed: u64,
    workers: usize,
) -> Result<Sanity> {
    let shares = vec![0.25, 0.5, 0.75, 1.0];
    let similarity_at = |(): &mut (), share: &f32| {
        let share = *share;
        let options = ModelOptions { randomised: Some(Randomised { share, seed }), ..options.clone() };
        let mut explainer = Explainer::new(&options, request)?;
        let mut sum = 0.0;
        for (picture, class, map) in pictures {
            explainer.set_class(Some(*class))?;
            let other = explainer.explain(picture)?.map.values;
            let [a, b] = [*map, &other].map(|map| map.iter().copied().collect::<Vec<_>>());
            sum += spearman(&a, &b);
        }
        Ok(sum / pictures.len().max(1) as f32)
    };
    let similarity = parallel_map(&mut vec![(); workers.max(1)], &shares, similarity_at, |_| Ok(()))?;
    Ok(Sanity { shares, similarity })
}
