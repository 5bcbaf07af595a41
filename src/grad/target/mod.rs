//! Finding the target layer: the tensor whose activations and gradient make the map.

mod candidate;
mod default_layer;
mod detector_layers;
mod layer_name;
mod layers;
mod normalised;
mod segmenter_layer;
mod select;

pub use candidate::{Candidate, Reason, Target};
pub use detector_layers::DetectorPart;
pub use layer_name::LayerName;
pub use layers::Layers;
pub use select::{find_detector_targets, find_target, has_class_token, input_target, list_candidates};
