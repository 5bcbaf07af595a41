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

/// `pictures` are pictures, each with the explained class and the map of the trained model. `workers` shares of weights are
/// measured at once.
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
    Sanity::of(options, request, seed, workers, |explainer| {
        let mut pairs = Vec::with_capacity(pictures.len());
        for (picture, class, map) in pictures {
            explainer.set_class(Some(*class))?;
            pairs.push((*map, explainer.explain(picture)?.map.values));
        }
        Ok(pairs)
    })
}

impl Sanity {
    /// Compares maps of the trained model with those of a model with other weights, as `pairs` makes them with its explainer.
    /// `workers` shares of weights are measured at once.
    ///
    /// # Errors
    /// The model cannot be prepared, or the runtime fails.
    pub(super) fn of<'m>(
        options: &ModelOptions,
        request: &Request,
        seed: u64,
        workers: usize,
        pairs: impl Fn(&mut Explainer) -> Result<Vec<(&'m Array2<f32>, Array2<f32>)>> + Sync,
    ) -> Result<Self> {
        let shares = vec![0.25, 0.5, 0.75, 1.0];
        let similarity_at = |(): &mut (), share: &f32| {
            let randomised = Some(Randomised { share: *share, seed });
            let mut explainer = Explainer::new(&ModelOptions { randomised, ..options.clone() }, request)?;
            let pairs = pairs(&mut explainer)?;
            let alike = |(trained, other): &(&Array2<f32>, Array2<f32>)| {
                let [a, b] = [*trained, other].map(|map| map.iter().copied().collect::<Vec<_>>());
                spearman(&a, &b)
            };
            Ok(pairs.iter().map(alike).sum::<f32>() / pairs.len().max(1) as f32)
        };
        let similarity = parallel_map(&mut vec![(); workers.max(1)], &shares, similarity_at, |_| Ok(()))?;
        Ok(Self { shares, similarity })
    }
}
