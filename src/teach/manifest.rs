//! The manifest of a taught model.

use serde::Serialize;

use super::backbone::Backbone;
use super::lesson::Lesson;
use super::taught_model::{KNOWN, LOGITS};
use crate::error::{Error, Result};
use crate::model::{Accuracy, InputSpec, Known};

#[derive(Serialize)]
struct TaughtManifest<'m> {
    name: &'m str,
    description: String,
    labels: &'m [String],
    output: &'m str,
    #[serde(skip_serializing_if = "str::is_empty")]
    licence: &'m str,
    input: &'m InputSpec,
    #[serde(skip_serializing_if = "Option::is_none")]
    known: Option<Known>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<Accuracy>,
    training: Training<'m>,
}

#[derive(Serialize)]
struct Training<'m> {
    backbone: &'m str,
    /// The pictures of each class.
    pictures: &'m [usize],
    near_copies: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    folds: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
}

impl Lesson {
    /// The manifest that belongs to [`Lesson::model`], as text.
    ///
    /// # Errors
    /// A number in it cannot be written.
    pub fn manifest(&self, name: &str, backbone: &Backbone) -> Result<String> {
        let of_backbone = &backbone.typed.loaded.manifest;
        let validation = self.validation.as_ref();
        let pictures: usize = self.counts.iter().sum();
        let accuracy =
            validation.map(|v| Accuracy { cross_validated: Some(v.confusion.accuracy()), ..Accuracy::default() });
        let known = self.familiarity.as_ref().map(|f| Known { output: KNOWN.into(), least: f.least });
        let manifest = TaughtManifest {
            name,
            description: format!("{} classes taught from {pictures} pictures", self.names.len()),
            labels: &self.names,
            output: LOGITS,
            licence: &of_backbone.licence,
            input: &of_backbone.input,
            known,
            accuracy,
            training: Training {
                backbone: &of_backbone.name,
                pictures: &self.counts,
                near_copies: self.copies,
                folds: validation.map(|v| v.folds),
                penalty: validation.map(|v| v.penalty),
                temperature: validation.map(|v| v.temperature),
            },
        };
        let text = toml::to_string(&manifest).map_err(|e| Error::model(name, format!("its manifest: {e}")))?;
        Ok(format!("# Taught by `whycam teach`.\n{text}"))
    }
}
