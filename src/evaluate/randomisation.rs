//! Sanity checks: Adebayo et al., *Sanity Checks for Saliency Maps*, `NeurIPS` 2018,
//! <https://arxiv.org/abs/1810.03292>, section 3.1. A map that stays when the weights are gone shows the
//! picture, not the model.

use ndarray::Array2;

use super::spearman;
use crate::error::Result;
use crate::explainer::Explainer;
use crate::options::{ExplainerOptions, Randomised};

/// How like the maps stay as weights are drawn anew, from the logits down.
#[derive(Clone, Debug)]
pub struct Sanity {
    /// The shares of the weight tensors that are drawn anew.
    pub shares: Vec<f32>,
    /// For each share Spearman's rank correlation with the maps of the model as it is, a mean over the
    /// pictures; should fall to about 0.
    pub similarity: Vec<f32>,
}

/// `pictures` are the model's inputs with the class and the map of the model as it is.
///
/// # Errors
/// The model cannot be prepared, or the runtime fails.
pub fn randomised(
    options: &ExplainerOptions,
    pictures: &[(&image::RgbImage, usize, &Array2<f32>)],
    seed: u64,
) -> Result<Sanity> {
    let shares = vec![0.25, 0.5, 0.75, 1.0];
    let mut similarity = Vec::new();
    for &share in &shares {
        let options = ExplainerOptions { randomised: Some(Randomised { share, seed }), ..options.clone() };
        let mut explainer = Explainer::new(&options)?;
        let mut sum = 0.0;
        for (picture, class, map) in pictures {
            explainer.set_class(Some(*class))?;
            let other = explainer.explain(picture)?.map.values;
            let [a, b] = [*map, &other].map(|map| map.iter().copied().collect::<Vec<_>>());
            sum += spearman(&a, &b);
        }
        similarity.push(sum / pictures.len().max(1) as f32);
    }
    Ok(Sanity { shares, similarity })
}
