//! whycam shows why an image classifier says what it says: Grad-CAM for any ONNX model, on
//! pictures, films and live video.
//!
//! ONNX has no gradients, so whycam writes them: [`grad::differentiate`] appends the backward pass
//! to the model as ordinary ONNX nodes, and one run gives logits, activations and gradients.
//!
//! ```
//! use whycam::{Explainer, ExplainerOptions};
//!
//! let mut explainer = Explainer::new(&ExplainerOptions::default())?;
//! let picture = image::open("examples/gallery/demo.gif").unwrap().to_rgb8();
//! let explanation = explainer.explain(&picture)?;
//! println!("{} {:?}", explainer.facts().label(explanation.class_index), explanation.map.values);
//! # Ok::<(), whycam::Error>(())
//! ```

mod analysis;
mod bounds;
mod cache;
pub mod cam;
mod classes;
mod classifier;
mod device;
mod error;
pub mod evaluate;
mod explainer;
mod explanation;
#[cfg(feature = "video")]
mod filter;
mod frame;
pub mod grad;
mod link;
pub mod manifest;
pub mod models;
pub mod onnx;
mod opening;
mod options;
mod output;
pub mod overlay;
mod permits;
mod picture;
pub mod pipeline;
pub mod preprocess;
mod probed;
mod question;
mod runner;
mod scores;
pub mod screen;
pub mod session;
pub mod sink;
pub mod source;
mod steady;
mod turn;

pub use analysis::{Analysis, Needs, Prepared, analyse, prepare};
pub use bounds::printable;
pub use classifier::Classifier;
pub use device::{Compute, Device};
pub use error::{Error, Result};
pub use explainer::Explainer;
pub use explanation::{ClassMap, Explanation, Facts, Familiarity, Ranked};
pub use frame::{Frame, Medium, MediumKind, Time, TimeBase};
pub use opening::Guess;
pub use options::{ExplainerOptions, Fusion, Randomised};
pub use output::{check_free, first_free, write_whole};
pub use permits::Permits;
pub use picture::{Picture, Pool};
pub use scores::Scores;
pub use steady::Steady;
pub use turn::Turn;
