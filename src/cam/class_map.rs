//! The map of one class at one layer.

use ndarray::{Array2, ArrayView3, Zip};

/// `Σ_k w_k A^k`, `[C,h,w]` to `[h,w]`.
pub fn weighted_sum(activations: ArrayView3<f32>, weights: impl IntoIterator<Item = f32>) -> Array2<f32> {
    let (_, h, w) = activations.dim();
    let mut map = Array2::zeros((h, w));
    for (activation, weight) in activations.outer_iter().zip(weights) {
        map.scaled_add(weight, &activation);
    }
    map
}

/// `Σ_k f(A^k, ∂y/∂A^k)` in each cell, `[C,h,w]` to `[h,w]`.
pub fn sum_over_channels(
    activations: ArrayView3<f32>,
    gradients: ArrayView3<f32>,
    of: impl Fn(f32, f32) -> f32,
) -> Array2<f32> {
    let (_, h, w) = activations.dim();
    let mut map = Array2::zeros((h, w));
    for (activation, gradient) in activations.outer_iter().zip(gradients.outer_iter()) {
        Zip::from(&mut map).and(activation).and(gradient).for_each(|sum: &mut f32, a, g| *sum += of(*a, *g));
    }
    map
}

/// `ReLU` of a map: what speaks against the score counts as zero.
pub fn rectified(mut map: Array2<f32>) -> Array2<f32> {
    map.mapv_inplace(relu);
    map
}

/// 0 for a negative number. What is no number stays so, and the map counts as not finite.
pub fn relu(value: f32) -> f32 {
    if value < 0.0 { 0.0 } else { value }
}

/// The share of negative values in the sum of all absolute values.
fn against(values: &Array2<f32>) -> Option<f32> {
    let [all, negative] = values
        .iter()
        .fold([0.0_f64; 2], |[all, negative], v| [all + f64::from(v.abs()), negative + f64::from(-v.min(0.0))]);
    (all > 0.0).then(|| (negative / all) as f32)
}

/// A map `[h,w]`, neither enlarged nor normalised. That of a value may be negative where the value is pulled down; all others
/// are rectified.
#[derive(Clone, Debug)]
pub struct CamMap {
    pub values: Array2<f32>,
    /// The smallest value.
    pub min: f32,
    /// The largest value, at least 0.
    pub max: f32,
    /// Whether the map has evidence: all values are finite, and one is not zero.
    pub evidence: bool,
    /// Whether negative values speak against the score.
    pub signed: bool,
    /// The share of what speaks against the score, 0..=1 of the sum of all absolute values, also where the map leaves it out.
    /// `None` where the method does not tell.
    pub against: Option<f32>,
    /// Why there is no evidence.
    pub no_evidence: Option<NoEvidence>,
}

/// Why a map has no evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoEvidence {
    /// Everything that counts speaks against the score.
    AllAgainst,
    /// Nothing at the layer changes the score, or nothing is active there.
    Zero,
    NotFinite,
}

impl NoEvidence {
    /// In a few words.
    pub fn reason(self) -> &'static str {
        match self {
            Self::AllAgainst => "all of it against",
            Self::Zero => "nothing counts",
            Self::NotFinite => "not finite",
        }
    }
}

impl CamMap {
    /// A map of these values. If a value is not finite, the map is all zero and without evidence.
    pub fn new(mut values: Array2<f32>) -> Self {
        let finite = values.iter().all(|v| v.is_finite());
        if !finite {
            values.fill(0.0);
        }
        let min = values.iter().copied().fold(f32::INFINITY, f32::min);
        let max = values.iter().copied().fold(0.0, f32::max);
        let zero = max <= 0.0 && min >= 0.0;
        let no_evidence = if finite { zero.then_some(NoEvidence::Zero) } else { Some(NoEvidence::NotFinite) };
        let against = against(&values);
        Self { values, min, max, evidence: no_evidence.is_none(), signed: false, against, no_evidence }
    }

    /// The map of what speaks for a score. `values` has what speaks against it as negative numbers.
    pub fn rectified(values: Array2<f32>) -> Self {
        let Self { values, max, against, no_evidence, .. } = Self::new(values);
        let map = Self::new(rectified(values));
        let no_evidence = no_evidence.or((max <= 0.0).then_some(NoEvidence::AllAgainst));
        Self { against, no_evidence, ..map }
    }

    /// As [`CamMap::new`], with negative values that speak against the score.
    pub fn signed(values: Array2<f32>) -> Self {
        Self { signed: true, ..Self::new(values) }
    }

    /// A map of the same kind.
    #[must_use]
    pub fn with_values(&self, values: Array2<f32>) -> Self {
        let map = Self::new(values);
        let no_evidence = if map.evidence { None } else { self.no_evidence.or(map.no_evidence) };
        Self { signed: self.signed, against: self.against, no_evidence, ..map }
    }

    /// That there is no evidence, and why, for a caption; empty where there is some.
    pub fn absence(&self) -> String {
        self.no_evidence.map_or(String::new(), |why| format!("  no evidence: {}", why.reason()))
    }

    /// The largest value, whatever its sign.
    pub fn strength(&self) -> f32 {
        self.max.max(-self.min)
    }

    /// The value that the hottest colour stands for: the largest one, or of a map of single pixels the one that one in a hundred
    /// exceeds, since a few stand out so far that the others would not be seen.
    pub fn hottest(&self) -> f32 {
        const MOST_CELLS: usize = 10_000;
        if self.values.len() <= MOST_CELLS {
            return self.strength();
        }
        let mut sizes: Vec<f32> = self.values.iter().map(|value| value.abs()).collect();
        let at = sizes.len() - sizes.len() / 100;
        let (_, usual, _) = sizes.select_nth_unstable_by(at, f32::total_cmp);
        if *usual > 0.0 { *usual } else { self.strength() }
    }

    /// What speaks for a signed map's score, and what against it, as two maps; `None` for another map.
    pub fn sides(&self) -> Option<[Self; 2]> {
        self.signed.then(|| [1.0, -1.0].map(|sign| Self::new(rectified(&self.values * sign))))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::cam::eigen_cam::eigen_cam;
    use crate::cam::grad_cam_elementwise::grad_cam_elementwise;
    use crate::cam::grad_cam_plus_plus::grad_cam_plus_plus;
    use crate::cam::gradient::gradient;
    use crate::cam::layer_cam::layer_cam;

    #[test]
    fn a_few_pixels_that_stand_out_do_not_hide_the_others() {
        let ramp = |side: usize| Array2::from_shape_fn((side, side), |(y, x)| (y * side + x) as f32);
        let mut pixels = ramp(200);
        pixels[[0, 0]] = 1e6;
        assert!((CamMap::new(pixels).hottest() - 39_601.0).abs() < 2.0);
        assert!((CamMap::new(ramp(14)).hottest() - 195.0).abs() < 1e-3);
    }

    #[test]
    fn what_is_no_number_is_not_hidden_by_any_formula() {
        let activations = array![[[1.0, 2.0]], [[3.0, 4.0]]];
        let gradients = array![[[0.5, f32::NAN]], [[0.1, 0.2]]];
        for (name, formula) in [
            ("layer-cam", layer_cam as fn(_, _) -> _),
            ("grad-cam-elementwise", grad_cam_elementwise),
            ("grad-cam++", grad_cam_plus_plus),
            ("gradient", gradient),
        ] {
            let map = CamMap::rectified(formula(activations.view(), gradients.view()));
            assert_eq!(map.no_evidence, Some(NoEvidence::NotFinite), "{name}");
        }
        let map = CamMap::rectified(eigen_cam(gradients.view()));
        assert_eq!(map.no_evidence, Some(NoEvidence::NotFinite));
    }

    #[test]
    fn gradients_of_any_size_have_a_map() {
        for size in [1e-30_f32, 1.0, 1e30] {
            let map = grad_cam_plus_plus(array![[[1.0, 2.0]]].view(), array![[[size, 0.0]]].view());
            let weight = size / (2.0 + 3.0 * size);
            assert!((map[[0, 1]] / (2.0 * weight) - 1.0).abs() < 1e-5, "{size}: {map}");
        }
    }

    #[test]
    fn the_first_component_is_found_from_a_column_orthogonal_to_it() {
        let map = eigen_cam(array![[[3.0, 0.0]], [[3.0, 0.0]], [[0.0, 4.0]]].view());
        let expected = 18.0_f32.sqrt();
        assert!((map[[0, 0]] - expected).abs() < 1e-3 && map[[0, 1]].abs() < 1e-3, "{map}");
    }

    #[test]
    fn a_map_says_what_speaks_against_the_score_and_why_it_is_empty() {
        let map = CamMap::rectified(array![[3.0, -1.0]]);
        assert_eq!((map.values.clone(), map.against, map.no_evidence), (array![[3.0, 0.0]], Some(0.25), None));
        let why = |values| CamMap::rectified(values).no_evidence;
        assert_eq!(why(array![[-3.0, 0.0]]), Some(NoEvidence::AllAgainst));
        assert_eq!(why(array![[0.0, 0.0]]), Some(NoEvidence::Zero));
        assert_eq!(why(array![[f32::NAN, 1.0]]), Some(NoEvidence::NotFinite));
    }
}
