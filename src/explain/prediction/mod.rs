//! What a model says of a picture, in the form of its task.

mod classes;
mod detections;
mod prediction_kind;
mod ranked;
mod segments;
mod values;

pub use classes::{ClassMap, ClassPrediction, Familiarity, Ranked};
pub use detections::{DetectedObject, DetectionPrediction};
pub use prediction_kind::Prediction;
pub use ranked::RankedLabel;
pub use segments::{Segment, SegmentPrediction};
pub use values::ValuePrediction;
