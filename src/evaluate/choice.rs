//! The method that explains a model best.

use super::report::Measured;
use crate::cam::{self, AttributesTo, Method, ScoreKind};

/// A map that is this alike to that of random weights, as Spearman's correlation, hardly depends on the model.
pub const LIKE_RANDOM: f32 = 0.5;
/// Methods whose values are closer than this count as equal.
pub const CLOSE: f32 = 0.005;

impl Measured {
    /// The mean of insertion, 1 - deletion and, where it was measured, the energy in the right tile; more is better.
    pub fn value(&self) -> f32 {
        let measures = self.faithfulness;
        let parts = [Some(measures.insertion), Some(1.0 - measures.deletion), measures.grid_pointing];
        let parts: Vec<f32> = parts.into_iter().flatten().collect();
        parts.iter().sum::<f32>() / parts.len() as f32
    }

    /// Whether a shift corrects its maps. It is that of a single layer.
    pub fn takes_shift(&self) -> bool {
        let at_layer = cam::find(self.method).is_ok_and(|method| method.attributes_to == AttributesTo::Layer);
        at_layer && !self.layer.contains(',')
    }

    /// Whether its maps pass the sanity check (Adebayo et al., *Sanity Checks for Saliency Maps*, `NeurIPS` 2018).
    pub fn depends_on_weights(&self) -> bool {
        let last = self.sanity.as_ref().and_then(|sanity| sanity.similarity.last());
        last.is_none_or(|similarity| *similarity < LIKE_RANDOM)
    }
}

/// Whether a method may be a model's default: it explains the class's own score, at a layer, in a single run.
pub fn may_be_default(method: &Method) -> bool {
    let needs = method.needs();
    method.attributes_to == AttributesTo::Layer
        && method.score == ScoreKind::Class
        && !(needs.reruns || needs.remainder || needs.curvature)
}

/// The method with the largest [`Measured::value`] of those that may be a default and pass the sanity check; of several that
/// are as good, the first.
pub fn choose(methods: &[Measured]) -> Option<&Measured> {
    let may = |measured: &Measured| cam::find(measured.method).is_ok_and(may_be_default);
    let passing = || {
        let sound = |m: &&Measured| may(m) && m.depends_on_weights() && m.value().is_finite();
        methods.iter().filter(sound)
    };
    let best = passing().map(Measured::value).max_by(f32::total_cmp)?;
    passing().find(|measured| measured.value() > best - CLOSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::{Curves, Faithfulness, Sanity};

    #[test]
    fn the_default_is_the_best_of_those_that_may_be_one() {
        let measured = |method, insertion, similarity| Measured {
            method,
            layer: "layer".into(),
            photos: 1,
            faithfulness: Faithfulness { insertion, deletion: 0.5, ..Faithfulness::default() },
            shift: None,
            displacement: None,
            curves: Curves { insertion: Vec::new(), deletion: Vec::new() },
            cases: Vec::new(),
            sanity: Some(Sanity { shares: vec![1.0], similarity: vec![similarity] }),
            films: Vec::new(),
        };
        // At the input, of another score, of many runs, of any weights; then two that are as good.
        let passed_over = [("lrp-gamma", 0.0), ("finer-cam", 0.0), ("recipro-cam", 0.0), ("eigen-cam", 0.8)];
        let mut methods: Vec<_> = passed_over.map(|(method, similarity)| measured(method, 0.9, similarity)).into();
        methods.extend([
            measured("layer-cam", 0.5, 0.0),
            measured("grad-cam", 0.7, 0.1),
            measured("hires-cam", 0.705, 0.1),
        ]);
        assert_eq!(choose(&methods).map(|measured| measured.method), Some("grad-cam"));
        methods.truncate(4);
        assert!(choose(&methods).is_none());
    }
}
