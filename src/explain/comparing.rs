//! Changing what an embedding is compared with, between pictures.

use image::RgbImage;

use super::explainer::{Explainer, Prepared};
use crate::error::{Error, Result};
use crate::model::{ModelOptions, Reference, Request, ScoreQuery, VectorReader, load, task_of, type_tensors};

impl Explainer {
    /// Compares an embedding with this picture from now on, as the reference of this number, counted from 1, in place of what
    /// it was before. A number beyond the last adds a reference. Returns its name.
    ///
    /// # Errors
    /// The model gives no embedding, or cannot be run; the explainer is as before.
    pub fn set_reference(&mut self, number: usize, picture: &RgbImage) -> Result<String> {
        let values = match &mut self.embedder {
            Some(reader) => reader,
            empty => empty.insert(embedder(&self.options)?),
        };
        let values = values.of_picture(picture)?.to_vec();
        let names = self.options.comparison.names();
        let name = number.checked_sub(1).and_then(|at| names.get(at).cloned()).unwrap_or_else(|| number.to_string());
        let mut references = self.options.comparison.references.clone();
        let at = references.iter().position(|reference| reference.name() == name).unwrap_or(references.len());
        references.retain(|reference| reference.name() != name);
        references.insert(at.min(references.len()), Reference::Vector { name: name.clone(), values });
        self.compare_with(references)?;
        Ok(name)
    }

    /// Compares an embedding with these words from now on, separated by commas, in place of earlier words.
    ///
    /// # Errors
    /// There are no words, or the model takes none; the explainer is as before.
    pub fn set_words(&mut self, words: &str) -> Result<()> {
        let words = Reference::parse_words(words);
        if words.is_empty() {
            return Err(Error::model(&self.context().model, "no words are given"));
        }
        let mut references = self.options.comparison.references.clone();
        references.retain(|reference| !matches!(reference, Reference::Words(_)));
        references.extend(words);
        self.compare_with(references)
    }

    fn compare_with(&mut self, references: Vec<Reference>) -> Result<()> {
        if self.context().task != "embed" {
            return Err(Error::model(&self.context().model, "it gives no embedding, so nothing is compared"));
        }
        let mut options = self.options.clone();
        options.comparison.references = references;
        // What a request names may be gone.
        let request = Request { scores: vec![ScoreQuery::PREDICTED], ..self.request.clone() };
        let prepared = Prepared::new(&options, &request, &mut None)?;
        (self.prepared, self.options, self.request, self.typed) = (prepared, options, request, None);
        Ok(())
    }
}

/// Reads the embeddings of the model that the options name.
fn embedder(options: &ModelOptions) -> Result<VectorReader> {
    let mut options = options.clone();
    options.comparison.references.clear();
    options.task = Some("embed");
    let mut typed = type_tensors(load(&options)?)?;
    let (task, _) = task_of(&mut typed)?;
    VectorReader::new(&typed, task.tensor(), options.compute)
}
