//! Reverse-mode differentiation of an ONNX graph, written as ONNX nodes.
//!
//! [`differentiate`] walks the graph backwards from an output to a target tensor and asks each op's rule for a
//! vector-Jacobian product: it takes the gradient of the op's output and returns the gradient of one of its inputs
//! (Griewank and Walther, *Evaluating Derivatives*, 2008, chapter 3; the terms are those of HIPS/autograd). The rules
//! write a [`Patch`], which [`Patch::apply`] adds to the model. The forward nodes stay as they are.

mod after_layer;
mod attention;
mod augment;
mod axes;
mod cam_output;
mod decomposed_gelu;
mod decomposed_silu;
mod fusion_guards;
mod graph_writer;
mod likeness;
mod names;
mod ops;
mod relevance;
mod reverse;
mod rules;
mod score;
mod target;
mod task;
mod value;
mod vjp;
mod window;

pub use after_layer::{REMAINDER_INPUT, Remainder, cut_remainder, side_input_name};
pub use attention::{AttentionMap, AttentionRequest, augment_with_attention, has_attention};
pub use augment::{
    ACTIVATIONS, Additions, CAM, CLASS_INDEX, CURVATURE, GRADIENTS, LOGITS, augment, augment_with_curvature,
    names_of_layer,
};
pub use axes::{FieldGeometry, TensorLayout};
pub use cam_output::{CamWeights, append_cam};
pub use graph_writer::{GraphWriter, Patch};
pub use likeness::{LIKENESS, References, TOKEN_VECTOR, append_likeness, append_token_vector};
pub use names::{reserve_names, reserve_output_names};
pub use relevance::ConvRule;
pub use reverse::differentiate;
pub use rules::{NOT_DIFFERENTIABLE, OpKind, RULES, Rule, Rules};
pub use score::{MOST_RANKS, Score};
pub use target::{
    Candidate, DetectorPart, LayerName, Reason, Target, find_detector_targets, find_target, has_class_token,
    input_target, list_candidates,
};
pub use task::{
    Background, BoxOrder, Detection, Family, FoundDetector, Hints, InRows, OutputReading, Probability, ScoreRow,
    Search, Segmentation, TASKS, Task, check_stated_shapes, find_detector, is_background, score_maps,
};
pub use value::{Operand, Value};
pub use vjp::{Gradient, Vjp};
pub use window::{Branch, cut_branch};
