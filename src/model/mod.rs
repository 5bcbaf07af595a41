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
mod feed;
mod inputs;
mod label_sets;
mod load;
mod locate;
mod manifest;
mod metadata;
mod options;
mod preprocess;
mod preset;
mod pretrained;
mod references;
mod request;
mod stated;
mod tokens;
mod typed;
mod vector_reader;
mod words;

pub use augment::{AugmentedModel, Extras, augment, augmented, check_references};
pub use bare_input::Guess;
pub use classes::{ResolvedScores, Subject, find_class};
pub use embedded::{EMBEDDED, Embedded};
pub use inputs::image_input;
pub use load::{LoadedModel, load};
pub use locate::{Located, locate, task_of};
pub use manifest::{Accuracy, Colour, Fit, InputSpec, Known, Layout, Manifest, Resample};
pub use metadata::{Contract, MapGrid};
pub use options::{Comparison, Feed, FeedValue, ModelOptions, ModelSource, Randomised, Reference};
pub use preprocess::{Preprocessor, Region, as_input, channels_first};
pub use preset::Preset;
pub use pretrained::graph_in;
pub use request::{Area, ClassName, DetectionOptions, Direction, Request, ScoreQuery};
pub use typed::{TypedModel, type_tensors};
pub use vector_reader::VectorReader;
