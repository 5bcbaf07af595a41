//! A model without a backward pass.

use super::runner::ModelRunner;
use crate::error::Result;
use crate::grad::{self, Additions, Rules, Task};
use crate::model::{
    AugmentedModel, LoadedModel, Manifest, ModelOptions, Preprocessor, Request, TypedModel, load, task_of, type_tensors,
};

/// A model that is ready to run, and what its outputs mean.
pub struct PlainModel {
    pub runner: ModelRunner,
    pub preprocessor: Preprocessor,
    pub manifest: Manifest,
    pub task: Task,
    /// What a user should know of how the model is read.
    pub notices: Vec<String>,
}

impl PlainModel {
    /// # Errors
    /// The model cannot be read or run, or its outputs have no known meaning.
    pub fn new(options: &ModelOptions) -> Result<Self> {
        let loaded = load(options)?;
        let (model, input, manifest, task, notices) = if loaded.contract.is_some() {
            let AugmentedModel { model, input, manifest, task, notices, .. } =
                AugmentedModel::from_contract(loaded, &Request::default())?;
            (model, input, manifest, task, notices)
        } else {
            let mut typed = type_tensors(loaded)?;
            let (task, notices) = task_of(&mut typed)?;
            let TypedModel { loaded: LoadedModel { mut model, manifest, .. }, input, tensors } = typed;
            grad::augment(&mut model, &tensors, &Rules::default(), &task, &[], Additions::default())?;
            (model, input, manifest, task, notices)
        };
        let runner = ModelRunner::plain(model, &input, &manifest.input, options.compute)?;
        let preprocessor = Preprocessor::new(manifest.input.clone());
        Ok(Self { runner, preprocessor, manifest, task, notices })
    }
}
