//! The table of methods.

use ndarray::{Array2, ArrayView3};

use super::ablation_cam::ablation_cam;
use super::eigen_cam::eigen_cam;
use super::eigen_grad_cam::eigen_grad_cam;
use super::grad_cam::grad_cam;
use super::grad_cam_elementwise::grad_cam_elementwise;
use super::grad_cam_plus_plus::grad_cam_plus_plus;
use super::gradient::gradient;
use super::hires_cam::hires_cam;
use super::integrated_gradients::integrated_gradients;
use super::layer_cam::layer_cam;
use super::perturbation::{PerturbedInput, PerturbedLayer};
use super::recipro_cam::recipro_cam;
use super::score_cam::score_cam;
use super::shapley_cam::shapley_cam;
use super::smooth_grad_cam_plus_plus::smooth_grad_cam_plus_plus;
use super::x_grad_cam::x_grad_cam;
use crate::error::{Error, Result};

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

const fn of_layer(
    name: &'static str,
    cost: &'static str,
    good_for: &'static str,
    unit: &'static str,
    inputs: Inputs,
) -> Method {
    let (attributes_to, score) = (AttributesTo::Layer, ScoreKind::Class);
    let (in_graph, signed, local, layers) = (None, false, false, Layers::One);
    Method { name, cost, good_for, unit, attributes_to, score, in_graph, signed, local, layers, inputs }
}

/// Every method. The first is the default.
pub static METHODS: &[Method] = &[
    Method {
        in_graph: Some(InGraph::GradCam),
        signed: true,
        ..of_layer(
            "grad-cam",
            "1 forward, 1 backward after the layer",
            "the usual choice: where the evidence lies, coarsely",
            "logit",
            Inputs::Gradients(grad_cam),
        )
    },
    of_layer(
        "grad-cam++",
        "as grad-cam",
        "several objects of the class in one picture",
        "logit",
        Inputs::Gradients(grad_cam_plus_plus),
    ),
    Method {
        in_graph: Some(InGraph::HiResCam),
        signed: true,
        local: true,
        ..of_layer(
            "hires-cam",
            "as grad-cam",
            "detectors, and nets that flatten their last map: it shows only what the score is made from",
            "logit",
            Inputs::Gradients(hires_cam),
        )
    },
    Method {
        local: true,
        // Jiang et al. 2021, section III-C.
        layers: Layers::Lifted { gain: 2.0 },
        ..of_layer("layer-cam", "as grad-cam", "early layers, finer maps", "logit", Inputs::Gradients(layer_cam))
    },
    Method {
        signed: true,
        ..of_layer(
            "x-grad-cam",
            "as grad-cam",
            "nets of ReLUs: each channel counts by what its removal would cost",
            "logit",
            Inputs::Gradients(x_grad_cam),
        )
    },
    Method {
        local: true,
        ..of_layer(
            "grad-cam-elementwise",
            "as grad-cam",
            "the evidence of each cell; what speaks against the class is left out channel by channel",
            "logit",
            Inputs::Gradients(grad_cam_elementwise),
        )
    },
    // Domeniconi et al., How to Evaluate and Refine your CAM, 2026, https://arxiv.org/abs/2605.14641: the product of the
    // maps of several layers by Grad-CAM++.
    Method {
        layers: Layers::EachGrid,
        ..of_layer(
            "refine-cam",
            "as grad-cam++, and 1 backward to early layers",
            "fine outlines: what the deep layer locates, sharpened by the layers before it",
            "share",
            Inputs::Gradients(grad_cam_plus_plus),
        )
    },
    Method {
        score: ScoreKind::Rivals,
        in_graph: Some(InGraph::GradCam),
        signed: true,
        ..of_layer(
            "finer-cam",
            "as grad-cam",
            "classes that look alike: what tells this one from its nearest rivals",
            "logit",
            Inputs::Gradients(grad_cam),
        )
    },
    Method {
        signed: true,
        ..of_layer(
            "shapley-cam",
            "1 forward, 2 backward after the layer",
            "layers with strongly nonlinear layers after them",
            "logit",
            Inputs::Curvature(shapley_cam),
        )
    },
    of_layer(
        "eigen-cam",
        "1 forward, and a decomposition",
        "what the net sees at all, whatever the class",
        "activation",
        Inputs::Activations(eigen_cam),
    ),
    of_layer(
        "eigen-grad-cam",
        "as grad-cam, and a decomposition",
        "noisy gradients: the main pattern of the evidence",
        "logit",
        Inputs::Gradients(eigen_grad_cam),
    ),
    of_layer(
        "legrad",
        "1 forward, 1 backward through the last layers of each block",
        "vision transformers and CLIP: what attention gathers, in all blocks",
        "logit a weight",
        Inputs::Attention(AttentionFormula::LeGrad),
    ),
    of_layer(
        "grad-eclip",
        "as grad-cam",
        "CLIP and other nets with a class token: what the last attention takes from each token",
        "logit",
        Inputs::Attention(AttentionFormula::GradEclip),
    ),
    of_layer(
        "ablation-cam",
        "1 forward, 1 after the layer for each channel",
        "ops without gradient rule; saturated gradients",
        "activation",
        Inputs::PerturbedLayer(ablation_cam),
    ),
    of_layer(
        "recipro-cam",
        "1 forward, 1 after the layer for each cell",
        "ops without gradient rule; the cheapest method without gradients",
        "probability",
        Inputs::PerturbedLayer(recipro_cam),
    ),
    of_layer(
        "score-cam",
        "1 forward, 1 for each channel",
        "a check on gradients that needs none",
        "activation",
        Inputs::InputScores(score_cam),
    ),
    of_layer(
        "smooth-grad-cam++",
        "8 forward, 8 backward after the layer",
        "maps that jump from frame to frame",
        "logit",
        Inputs::InputGradients(smooth_grad_cam_plus_plus),
    ),
    Method {
        attributes_to: AttributesTo::Input,
        ..of_layer(
            "gradient",
            "1 forward, 1 backward through the whole model",
            "single pixels that matter; noisy",
            "logit a step of the input",
            Inputs::Gradients(gradient),
        )
    },
    Method {
        attributes_to: AttributesTo::Input,
        signed: true,
        ..of_layer(
            "integrated-gradients",
            "32 forward, 32 backward through the whole model",
            "single pixels, with a sum that is the score",
            "logit",
            Inputs::InputGradients(integrated_gradients),
        )
    },
];

/// The method of a name.
///
/// # Errors
/// No method has that name.
pub fn find(name: &str) -> Result<&'static Method> {
    METHODS.iter().find(|method| method.name == name).ok_or_else(|| {
        let known: Vec<&str> = METHODS.iter().map(|method| method.name).collect();
        Error::Unknown { what: "method", name: name.to_owned(), known: format!("there are {}", known.join(", ")) }
    })
}
