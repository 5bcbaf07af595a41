//! A model without a backward pass.

use image::RgbImage;
use ndarray::{ArrayD, ArrayViewD};

use super::runner::ModelRunner;
use crate::error::Result;
use crate::grad::{self, Additions, Rules, Task};
use crate::model::{
    AugmentedModel, Guess, LoadedModel, Manifest, ModelOptions, Preprocessor, Request, TypedModel, check_references,
    load, task_of, type_tensors,
};

/// A model that is ready to run, and what its outputs mean.
pub struct PlainModel {
    pub runner: ModelRunner,
    pub preprocessor: Preprocessor,
    pub manifest: Manifest,
    pub task: Task,
    /// How pictures are preprocessed, if that was guessed.
    pub guess: Option<Guess>,
    /// What a user should know of how the model is read.
    pub notices: Vec<String>,
}

impl PlainModel {
    /// # Errors
    /// The model cannot be read or run, or its outputs have no known meaning.
    pub fn new(options: &ModelOptions) -> Result<Self> {
        let loaded = load(options)?;
        let (model, input, manifest, task, guess, notices) = if loaded.contract.is_some() {
            let AugmentedModel { model, input, manifest, task, guess, notices, .. } =
                AugmentedModel::from_contract(loaded, &Request::default())?;
            (model, input, manifest, task, guess, notices)
        } else {
            let mut typed = type_tensors(loaded)?;
            let (task, notices) = task_of(&mut typed)?;
            check_references(&typed.loaded.model, &task)?;
            let TypedModel { loaded: LoadedModel { mut model, manifest, guess, .. }, input, tensors } = typed;
            grad::augment(&mut model, &tensors, &Rules::default(), &task, &[], Additions::default())?;
            (model, input, manifest, task, guess, notices)
        };
        let runner = ModelRunner::plain(model, &input, &manifest.input, options.compute)?;
        let preprocessor = Preprocessor::new(manifest.input.clone());
        Ok(Self { runner, preprocessor, manifest, task, guess, notices })
    }
}

/// A model as its file has it, without any output of whycam: what an explanation is compared with.
pub struct ForwardPass {
    runner: ModelRunner,
    preprocessor: Preprocessor,
}

impl ForwardPass {
    /// # Errors
    /// The model cannot be read or run.
    pub fn new(options: &ModelOptions) -> Result<Self> {
        let TypedModel { loaded: LoadedModel { model, manifest, .. }, input, .. } = type_tensors(load(options)?)?;
        let runner = ModelRunner::plain(model, &input, &manifest.input, options.compute)?;
        Ok(Self { runner, preprocessor: Preprocessor::new(manifest.input) })
    }

    /// A picture as the model's input.
    ///
    /// # Errors
    /// The picture is empty.
    pub fn preprocess(&mut self, picture: &RgbImage) -> Result<ArrayD<f32>> {
        Ok(self.preprocessor.run(picture, 1.0)?.0.to_owned())
    }

    /// Runs the model.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn run(&mut self, input: ArrayViewD<f32>) -> Result<()> {
        /// The predicted class, for an augmented model.
        const PREDICTED: [i64; 1] = [-1];
        self.runner.run(input, &PREDICTED).map(drop)
    }
}
