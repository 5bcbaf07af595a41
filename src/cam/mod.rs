//! Class activation maps: one method a file, one line a method in [`METHODS`].
//!
//! Maps are `[h,w]`, not negative and not normalised. Activations and gradients are `[C,h,w]`, those of
//! one picture at the target layer; for a method at the input they are the model's input itself.

mod ablation_cam;
mod eigen_cam;
mod eigen_grad_cam;
mod enlarge;
mod grad_cam;
mod grad_cam_elementwise;
mod grad_cam_plus_plus;
mod gradient;
mod hires_cam;
mod integrated_gradients;
mod layer_cam;
mod recipro_cam;
mod score_cam;
mod shapley_cam;
mod smooth_grad_cam_plus_plus;
mod x_grad_cam;

pub use enlarge::{Enlarger, Window, enlarged, fused, window};
use ndarray::{Array2, Array3, Array4, ArrayView3, Axis};

use crate::error::{Error, Result};

/// A way of making a map.
pub struct Method {
    /// What `--method` calls it.
    pub name: &'static str,
    /// Passes through the model for one picture.
    pub cost: &'static str,
    pub good_for: &'static str,
    /// What the numbers of the map are.
    pub unit: &'static str,
    pub layer: Layer,
    pub score: Score,
    pub how: How,
}

/// What the gradient is taken by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    Target,
    /// The model's input.
    Input,
}

/// What the gradient is taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    /// The class's logit.
    Class,
    /// Finer-CAM: that logit less the mean of the three that lie nearest to it (Zhang et al.,
    /// *Finer-CAM: Spotting the Difference Reveals Finer Details for Visual Explanation*, CVPR 2025,
    /// <https://arxiv.org/abs/2501.11309>, equation 4 with γ = 1). pytorch-grad-cam weights the three by
    /// their probabilities, and differentiates those too.
    AgainstRivals,
}

/// Activations and gradients `[C,h,w]` to a map.
pub type Formula = fn(ArrayView3<f32>, ArrayView3<f32>) -> Array2<f32>;

/// What a method needs, and makes its map from.
#[derive(Clone, Copy)]
pub enum How {
    /// Activations of one run.
    Activations(fn(ArrayView3<f32>) -> Array2<f32>),
    /// Grad-CAM, which a model that explains itself can give as an output of one run.
    GradCam,
    /// Activations and gradients of one run.
    Gradients(Formula),
    /// Those, and the Hessian of the score by the activations times the activations.
    Curvature(fn(ArrayView3<f32>, ArrayView3<f32>, ArrayView3<f32>) -> Array2<f32>),
    /// Runs of the part behind the target layer on other activations.
    Tail(fn(&mut Behind) -> Result<Array2<f32>>),
    /// Runs of the whole model on other inputs, for their gradients.
    Copies(fn(&mut Whole) -> Result<Array2<f32>>),
    /// Runs of the whole model on other inputs, for their scores alone.
    Masks(fn(&mut Whole) -> Result<Array2<f32>>),
}

/// Every method. The first is the default.
pub const METHODS: &[Method] = &[
    Method {
        name: "grad-cam",
        cost: "1 forward, 1 backward behind the layer",
        good_for: "the usual one: where the evidence lies, coarsely",
        unit: "logit",
        layer: Layer::Target,
        score: Score::Class,
        how: How::GradCam,
    },
    Method {
        name: "grad-cam++",
        cost: "as grad-cam",
        good_for: "several objects of the class in one picture",
        unit: "logit",
        layer: Layer::Target,
        score: Score::Class,
        how: How::Gradients(grad_cam_plus_plus::grad_cam_plus_plus),
    },
    Method {
        name: "hires-cam",
        cost: "as grad-cam",
        good_for: "nets that flatten their last map: it shows only what the score was made from",
        unit: "logit",
        layer: Layer::Target,
        score: Score::Class,
        how: How::Gradients(hires_cam::hires_cam),
    },
    Method {
        name: "layer-cam",
        cost: "as grad-cam",
        good_for: "early layers, finer maps",
        unit: "logit",
        layer: Layer::Target,
        score: Score::Class,
        how: How::Gradients(layer_cam::layer_cam),
    },
    Method {
        name: "x-grad-cam",
        cost: "as grad-cam",
        good_for: "nets of ReLUs: each channel counts by what taking it away would cost",
        unit: "logit",
        layer: Layer::Target,
        score: Score::Class,
        how: How::Gradients(x_grad_cam::x_grad_cam),
    },
    Method {
        name: "grad-cam-elementwise",
        cost: "as grad-cam",
        good_for: "every place's own evidence, what speaks against left out channel by channel",
        unit: "logit",
        layer: Layer::Target,
        score: Score::Class,
        how: How::Gradients(grad_cam_elementwise::grad_cam_elementwise),
    },
    Method {
        name: "finer-cam",
        cost: "as grad-cam",
        good_for: "classes that look alike: what tells this one from its nearest rivals",
        unit: "logit",
        layer: Layer::Target,
        score: Score::AgainstRivals,
        how: How::GradCam,
    },
    Method {
        name: "shapley-cam",
        cost: "1 forward, 2 backward behind the layer",
        good_for: "layers with much that bends behind them",
        unit: "logit",
        layer: Layer::Target,
        score: Score::Class,
        how: How::Curvature(shapley_cam::shapley_cam),
    },
    Method {
        name: "eigen-cam",
        cost: "1 forward, and a decomposition",
        good_for: "what the net sees at all, whatever the class",
        unit: "activation",
        layer: Layer::Target,
        score: Score::Class,
        how: How::Activations(eigen_cam::eigen_cam),
    },
    Method {
        name: "eigen-grad-cam",
        cost: "as grad-cam, and a decomposition",
        good_for: "noisy gradients: the main pattern of the evidence",
        unit: "logit",
        layer: Layer::Target,
        score: Score::Class,
        how: How::Gradients(eigen_grad_cam::eigen_grad_cam),
    },
    Method {
        name: "ablation-cam",
        cost: "1 forward, 1 behind the layer for each channel",
        good_for: "ops without gradient rule; saturated gradients",
        unit: "activation",
        layer: Layer::Target,
        score: Score::Class,
        how: How::Tail(ablation_cam::ablation_cam),
    },
    Method {
        name: "recipro-cam",
        cost: "1 forward, 1 behind the layer for each place",
        good_for: "ops without gradient rule; the cheapest without gradients",
        unit: "probability",
        layer: Layer::Target,
        score: Score::Class,
        how: How::Tail(recipro_cam::recipro_cam),
    },
    Method {
        name: "score-cam",
        cost: "1 forward, 1 for each channel",
        good_for: "a check on gradients that does without them",
        unit: "activation",
        layer: Layer::Target,
        score: Score::Class,
        how: How::Masks(score_cam::score_cam),
    },
    Method {
        name: "smooth-grad-cam++",
        cost: "8 forward, 8 backward behind the layer",
        good_for: "maps that jump from frame to frame",
        unit: "logit",
        layer: Layer::Target,
        score: Score::Class,
        how: How::Copies(smooth_grad_cam_plus_plus::smooth_grad_cam_plus_plus),
    },
    Method {
        name: "gradient",
        cost: "1 forward, 1 backward through the whole",
        good_for: "single pixels that matter; noisy",
        unit: "logit a step of the input",
        layer: Layer::Input,
        score: Score::Class,
        how: How::Gradients(gradient::gradient),
    },
    Method {
        name: "integrated-gradients",
        cost: "32 forward, 32 backward through the whole",
        good_for: "single pixels, with a sum that is the score",
        unit: "logit",
        layer: Layer::Input,
        score: Score::Class,
        how: How::Copies(integrated_gradients::integrated_gradients),
    },
];

/// # Errors
/// There is no method of that name.
pub fn find(name: &str) -> Result<&'static Method> {
    METHODS.iter().find(|method| method.name == name).ok_or_else(|| {
        let known: Vec<&str> = METHODS.iter().map(|method| method.name).collect();
        Error::Unknown { what: "method", name: name.to_owned(), known: format!("there are {}", known.join(", ")) }
    })
}

impl How {
    /// Whether the score's gradient is needed, for which every op on the way must have a rule.
    pub fn needs_gradients(self) -> bool {
        matches!(self, Self::GradCam | Self::Gradients(_) | Self::Curvature(_) | Self::Copies(_))
    }

    /// How the map is made where that takes activations and gradients of one run.
    pub fn formula(self) -> Option<Formula> {
        match self {
            Self::GradCam => Some(grad_cam::grad_cam),
            Self::Gradients(of) => Some(of),
            _ => None,
        }
    }
}

/// What the class got in one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassScore {
    pub logit: f32,
    /// 0..=1.
    pub probability: f32,
}

/// The part of a model behind its target layer, at one picture.
pub struct Behind<'a> {
    pub activations: ArrayView3<'a, f32>,
    /// Of the picture as it is.
    pub score: ClassScore,
    pub run: &'a mut dyn FnMut(Array4<f32>) -> Result<Vec<ClassScore>>,
}

impl Behind<'_> {
    /// The class's scores for `count` versions of the activations, each written by `change` over zeros.
    pub fn scores(
        &mut self,
        count: usize,
        change: impl Fn(usize, ArrayView3<f32>, ndarray::ArrayViewMut3<f32>),
    ) -> Result<Vec<ClassScore>> {
        /// Versions that go through the model at once, as far as they are no more than so many numbers together: what
        /// lies behind a fine layer takes several times their memory.
        const BATCH: usize = 32;
        const NUMBERS: usize = 1 << 22;
        let (c, h, w) = self.activations.dim();
        let at_once = (NUMBERS / (c * h * w).max(1)).clamp(1, BATCH);
        let mut scores = Vec::with_capacity(count);
        for start in (0..count).step_by(at_once) {
            let mut batch = Array4::zeros((at_once.min(count - start), c, h, w));
            for (at, version) in batch.axis_iter_mut(Axis(0)).enumerate() {
                change(start + at, self.activations, version);
            }
            scores.extend((self.run)(batch)?);
        }
        Ok(scores)
    }
}

/// A model at one picture and at changed copies of it.
pub struct Whole<'a> {
    /// The model's input `[C,H,W]`, preprocessed.
    pub input: ArrayView3<'a, f32>,
    pub activations: ArrayView3<'a, f32>,
    /// Runs the model on another input.
    pub run: &'a mut dyn FnMut(Array3<f32>) -> Result<OneRun>,
}

/// What a run of the whole model gives.
pub struct OneRun {
    pub activations: Array3<f32>,
    /// Empty where the method has no use for them.
    pub gradients: Array3<f32>,
    pub score: ClassScore,
}

/// `ReLU(Σ_k w_k A^k)`.
fn weighted_sum(activations: ArrayView3<f32>, weights: impl IntoIterator<Item = f32>) -> Array2<f32> {
    let (_, h, w) = activations.dim();
    let mut map = Array2::zeros((h, w));
    for (activation, weight) in activations.outer_iter().zip(weights) {
        map.scaled_add(weight, &activation);
    }
    map.mapv_inplace(|v: f32| v.max(0.0));
    map
}

/// A map `[h,w]` after rectification, before upscaling, not normalised.
#[derive(Clone, Debug)]
pub struct CamMap {
    pub values: Array2<f32>,
    pub min: f32,
    pub max: f32,
    /// Whether anything speaks for the class: the map is finite and somewhere above zero.
    pub evidence: bool,
}

impl CamMap {
    /// Takes the values as they are; a map with a value that is no number becomes one without
    /// evidence, all zero.
    pub fn new(mut values: Array2<f32>) -> Self {
        let finite = values.iter().all(|v| v.is_finite());
        if !finite {
            values.fill(0.0);
        }
        let min = values.iter().copied().fold(f32::INFINITY, f32::min);
        let max = values.iter().copied().fold(0.0, f32::max);
        Self { values, min, max, evidence: finite && max > 0.0 }
    }
}
