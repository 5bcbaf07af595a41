//! What a method of making maps is, and what it needs of a model.

use ndarray::{Array2, ArrayView3};

use super::perturbation::{PerturbedInput, PerturbedLayer};
use crate::error::Result;

/// A way of making a map, and what it needs of a model.
#[derive(Debug)]
#[non_exhaustive]
pub struct Method {
    pub name: &'static str,
    /// Passes through the model for one picture.
    pub cost: &'static str,
    pub good_for: &'static str,
    /// The unit of the map's numbers.
    pub unit: &'static str,
    pub attributes_to: AttributesTo,
    pub backward: Backward,
    pub score: ScoreKind,
    /// How an augmented model can compute the map itself, if it can.
    pub in_graph: Option<InGraph>,
    /// Whether its formula, without the last `ReLU`, tells what speaks against the score by negative numbers.
    pub signed: bool,
    /// Whether each cell of the map is made from that cell alone, so that a part of the layer gives that part of the map.
    pub local: bool,
    /// What it does with several layers.
    pub layers: Layers,
    pub inputs: Inputs,
}

/// What a method does with several layers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Layers {
    /// It takes one, unless several are named.
    One,
    /// As [`Layers::One`]; of several, early layers are lifted by `tanh(gain M / max M)` before they are fused.
    Lifted { gain: f32 },
    /// Without a name, it takes the last layer of each grid, from the default layer to finer ones, and fuses them by their
    /// product.
    EachGrid,
}

/// The tensor that the map attributes the score to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributesTo {
    /// The target layer.
    Layer,
    /// The model's input.
    Input,
}

/// What is passed backwards through the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backward {
    Gradient,
    /// Relevance divided by the values, by a rule for convolutions.
    Relevance(ConvShare),
}

/// How convolutions share their relevance among their inputs (Montavon et al., *Layer-Wise Relevance Propagation: An
/// Overview*, 2019).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvShare {
    Epsilon,
    ZPlus,
    Gamma,
}

/// How an augmented model computes a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InGraph {
    /// As Grad-CAM of its gradient.
    GradCam,
    /// As `HiResCAM` of its gradient.
    HiResCam,
}

/// A formula of attention, which an augmented model computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionFormula {
    LeGrad,
    GradEclip,
}

/// The score that is explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScoreKind {
    /// The class's logit.
    Class,
    /// Finer-CAM: that logit less the mean of the three nearest ones (Zhang et al., *Finer-CAM: Spotting the Difference
    /// Reveals Finer Details for Visual Explanation*, CVPR 2025, <https://arxiv.org/abs/2501.11309>, equation 4 with
    /// γ = 1). pytorch-grad-cam weights the three by their probabilities, and differentiates those too.
    Rivals,
}

/// Activations and gradients `[C,h,w]` to a map `[h,w]`.
pub type Formula = fn(ArrayView3<f32>, ArrayView3<f32>) -> Array2<f32>;

/// What a method makes its map from, with the formula.
#[derive(Clone, Copy, Debug)]
pub enum Inputs {
    /// The activations of one run.
    Activations(fn(ArrayView3<f32>) -> Array2<f32>),
    /// The activations and gradients of one run.
    Gradients(Formula),
    /// Those, and the Hessian of the score by the activations, times the activations.
    Curvature(fn(ArrayView3<f32>, ArrayView3<f32>, ArrayView3<f32>) -> Array2<f32>),
    /// The attention of a vision transformer and its gradients: the graph makes the map.
    Attention(AttentionFormula),
    /// Runs of the layers after the target on changed activations.
    PerturbedLayer(fn(&mut PerturbedLayer) -> Result<Array2<f32>>),
    /// Runs of the whole model on changed inputs, for their gradients.
    InputGradients(fn(&mut PerturbedInput) -> Result<Array2<f32>>),
    /// Runs of the whole model on changed inputs, for their scores alone.
    InputScores(fn(&mut PerturbedInput) -> Result<Array2<f32>>),
}

/// What a method needs of an augmented model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate need")]
pub struct Needs {
    /// The gradient of the score, for which every op in between must have a rule.
    pub gradient: bool,
    /// The Hessian times the activations.
    pub curvature: bool,
    /// The layers after the target as a model.
    pub remainder: bool,
    /// Runs on other inputs, so that each class needs separate runs.
    pub reruns: bool,
}

impl Inputs {
    pub const fn needs(self) -> Needs {
        let nothing = Needs { gradient: false, curvature: false, remainder: false, reruns: false };
        match self {
            Self::Activations(_) => nothing,
            Self::Gradients(_) | Self::Attention(_) => Needs { gradient: true, ..nothing },
            Self::Curvature(_) => Needs { gradient: true, curvature: true, ..nothing },
            Self::PerturbedLayer(_) => Needs { remainder: true, ..nothing },
            Self::InputGradients(_) => Needs { gradient: true, reruns: true, ..nothing },
            Self::InputScores(_) => Needs { reruns: true, ..nothing },
        }
    }
}

impl Method {
    pub const fn needs(&self) -> Needs {
        self.inputs.needs()
    }

    /// The formula of a method that makes its map from the activations and gradients of one run.
    pub const fn formula(&self) -> Option<Formula> {
        match self.inputs {
            Inputs::Gradients(formula) => Some(formula),
            _ => None,
        }
    }

    /// Whether the method reruns the whole model for scores alone, which takes minutes for a sanity check.
    pub const fn reruns_for_scores(&self) -> bool {
        let needs = self.needs();
        needs.reruns && !needs.gradient
    }
}
