//! The table of methods.

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
use super::method::{AttentionFormula, AttributesTo, Backward, ConvShare, InGraph, Inputs, Layers, Method, ScoreKind};
use super::recipro_cam::recipro_cam;
use super::score_cam::score_cam;
use super::shapley_cam::shapley_cam;
use super::smooth_grad_cam_plus_plus::smooth_grad_cam_plus_plus;
use super::x_grad_cam::x_grad_cam;
use crate::error::{Error, Result};

const fn of_layer(
    name: &'static str,
    cost: &'static str,
    good_for: &'static str,
    unit: &'static str,
    inputs: Inputs,
) -> Method {
    let (attributes_to, backward, score) = (AttributesTo::Layer, Backward::Gradient, ScoreKind::Class);
    let (in_graph, signed, local, layers) = (None, false, false, Layers::One);
    Method { name, cost, good_for, unit, attributes_to, backward, score, in_graph, signed, local, layers, inputs }
}

/// A method of layer-wise relevance propagation: the relevance of each pixel is the sum over its colours.
const fn of_relevance(name: &'static str, cost: &'static str, good_for: &'static str, conv: ConvShare) -> Method {
    Method {
        attributes_to: AttributesTo::Input,
        backward: Backward::Relevance(conv),
        signed: true,
        ..of_layer(name, cost, good_for, "logit", Inputs::Gradients(hires_cam))
    }
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
        "1 forward, 1 after the layer for each channel but zeros",
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
        "1 forward, 1 for each channel that varies",
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
    of_relevance(
        "lrp-epsilon",
        "1 forward, 1 backward through the whole model",
        "transformers (AttnLRP): each pixel's part of the logit",
        ConvShare::Epsilon,
    ),
    of_relevance(
        "lrp-z-plus",
        "2 to 3 forward, 1 to 2 backward through the whole model",
        "nets of ReLUs: smooth relevance of pixels; what speaks against the class hardly counts",
        ConvShare::ZPlus,
    ),
    of_relevance(
        "lrp-gamma",
        "2 to 5 forward, 1 to 4 backward through the whole model",
        "nets of ReLUs: relevance of pixels with little noise",
        ConvShare::Gamma,
    ),
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
