//! From a picture to its explanation: the fifth step, running an augmented model.

mod attribution;
mod builder;
mod candidates;
mod classifier;
mod comparing;
mod detect;
mod detector;
mod explainer;
mod explanation;
mod pixels;
mod plain;
mod prediction;
mod reading;
mod remainder_runner;
mod runner;
mod scores;
mod segment;
mod smoothing;
mod tracking;
mod windows;

pub use builder::ExplainerBuilder;
pub use classifier::Classifier;
pub use detector::Detector;
pub use explainer::Explainer;
pub use explanation::{Explanation, ExplanationContext};
pub use plain::{ForwardPass, PlainModel};
pub use prediction::{
    ClassMap, ClassPrediction, DetectedObject, DetectionPrediction, Familiarity, Prediction, Ranked, RankedLabel,
    Segment, SegmentPrediction, ValuePrediction,
};
pub use scores::Scores;
pub use smoothing::TemporalSmoother;
