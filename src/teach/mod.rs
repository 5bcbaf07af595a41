//! Teaching: a classifier on the features of a model that stays as it is.
//!
//! [`Backbone`] finds and reads the features, [`teach()`] fits the classes, measures them by cross-validation and limits
//! what counts as known, and [`Lesson::model`] writes an ordinary model with its manifest. `backgrounds` checks whether
//! a class is recognised by what lies around the object.

mod album;
mod backbone;
mod backgrounds;
mod collection;
mod crops;
mod cross_validation;
mod examples;
mod familiarity;
mod folds;
mod lesson;
mod linear;
mod manifest;
mod middle;
mod pupil;
mod taught_model;

pub use album::{Album, AlbumClass};
pub use backbone::{Backbone, FeatureReader};
pub use backgrounds::{BackgroundCheck, backgrounds};
pub use collection::{Collection, read_folder};
pub use cross_validation::CrossValidation;
pub use examples::Examples;
pub use familiarity::Familiarity;
pub use lesson::{Lesson, Thoroughness, teach};
pub use linear::Linear;
pub use middle::Middle;
pub use pupil::{Pupil, PupilOptions};
