//! whycam shows why an image model says what it says: Grad-CAM and its relatives for any ONNX classifier, on pictures,
//! films and live video.
//!
//! ONNX has no gradients, so whycam writes them: it appends the backward pass to the model as ordinary ONNX nodes. One
//! run of the augmented model then gives the prediction and the heat map, without a training framework.
//!
//! ```
//! use whycam::Explainer;
//!
//! let mut explainer = Explainer::builder().model("flowers").build()?;
//! let picture = image::open("examples/gallery/demo.gif").unwrap().to_rgb8();
//! let explanation = explainer.explain(&picture)?;
//! println!("{:?}", explanation.captions(explainer.context()));
//! println!("{:?}", explanation.map.values);
//! # Ok::<(), whycam::Error>(())
//! ```
//!
//! - [`Explainer`] takes pictures and gives an [`Explanation`]; [`Explainer::builder`] chooses model, layer, method and
//!   classes.
//! - [`cam::METHODS`] lists the methods, with what each costs and needs.
//! - [`grad::differentiate`] gives the gradient of any output of an ONNX graph by any tensor, with the rules of
//!   [`grad::RULES`] and your own.
//! - [`session`] runs ONNX models, and [`onnx`] reads and edits them.

pub mod cam;
mod error;
#[doc(hidden)]
pub mod evaluate;
mod explain;
mod files;
pub mod grad;
mod media;
#[doc(hidden)]
pub mod model;
pub mod onnx;
#[doc(hidden)]
pub mod overlay;
#[doc(hidden)]
pub mod pipeline;
#[cfg(feature = "python")]
mod python;
#[doc(hidden)]
pub mod screen;
pub mod session;
#[doc(hidden)]
pub mod sink;
#[doc(hidden)]
pub mod source;
mod sync;
#[doc(hidden)]
pub mod teach;

pub use cam::Fusion;
pub use error::{Error, Result};
pub use explain::{
    ClassMap, ClassPrediction, DetectedObject, DetectionPrediction, Explainer, ExplainerBuilder, Explanation,
    ExplanationContext, Familiarity, Prediction, Ranked, RankedLabel, Segment, SegmentPrediction, ValuePrediction,
};
pub use grad::LayerName;
pub use model::{
    Area, ClassName, Comparison, DetectionOptions, Direction, Feed, FeedValue, ModelOptions, ModelSource, Preset,
    Randomised, Reference, Request, ScoreQuery,
};
pub use session::{Compute, Device};

/// The program's plumbing.
#[doc(hidden)]
pub mod plumbing {
    pub use crate::explain::{Classifier, Detector, ForwardPass, PlainModel, Scores, TemporalSmoother};
    pub use crate::files::limits::{SIDES, printable};
    pub use crate::files::{check_free, check_place, first_free, make_folder, write_whole};
    pub use crate::media::{
        DisplayMatrix, Frame, Medium, MediumKind, Picture, Pool, Report, Time, TimeBase, name_of, without_secrets,
    };
    pub use crate::sync::{Semaphore, is_guarded};
}
