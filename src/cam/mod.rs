//! Class activation maps: one method per file, one entry per method in [`METHODS`].
//!
//! Maps are `[h,w]` and not normalised. The formulas leave the last `ReLU` to the caller, since maps of values go without.
//! Activations and gradients are `[C,h,w]`, of one picture at the target layer. For a method at the input, the
//! activations are the model's input.

mod ablation_cam;
mod class_map;
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
mod method;
mod methods;
mod perturbation;
mod recipro_cam;
mod score_cam;
mod shapley_cam;
mod smooth_grad_cam_plus_plus;
mod x_grad_cam;

pub use class_map::{CamMap, NoEvidence, rectified, weighted_sum};
pub use enlarge::{Enlarger, Fusion, MapCrop, crop_map, enlarged, fused};
pub use method::{
    AttentionFormula, AttributesTo, Backward, ConvShare, Formula, InGraph, Inputs, Layers, Method, Needs, ScoreKind,
};
pub use methods::{METHODS, find};
pub use perturbation::{PerturbedInput, PerturbedLayer, PerturbedRun, ScoreValue};
