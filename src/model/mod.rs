//! From a model's file to a model that gives activations and gradients, in four steps: `load`, `type_tensors`,
//! `locate`, `augment`. The room `explain` runs the result.

mod advice;
mod augment;
mod bare_input;
mod cache;
mod class_names;
mod classes;
mod detector;
mod embedded;
mod inputs;
mod label_sets;
mod load;
mod locate;
mod manifest;
mod metadata;
mod options;
mod preprocess;
mod preset;
mod request;
mod stated;
mod typed;

pub use augment::{AugmentedModel, Extras, augment, augmented};
pub use bare_input::Guess;
pub use classes::{ResolvedScores, Subject, find_class};
pub use embedded::{EMBEDDED, Embedded};
pub use inputs::image_input;
pub use load::{LoadedModel, load};
pub use locate::{Located, locate, task_of};
pub use manifest::{Accuracy, Colour, Fit, InputSpec, Known, Layout, Manifest};
pub use metadata::{Contract, MapGrid};
pub use options::{ModelOptions, ModelSource, Randomised};
pub use preprocess::{Preprocessor, Region, as_input, channels_first};
pub use preset::Preset;
pub use request::{ClassName, DetectionOptions, Fusion, Request, ScoreQuery};
pub use typed::{TypedModel, type_tensors};
