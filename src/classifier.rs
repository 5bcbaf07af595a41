//! The model without explanation: its plain forward pass.

use image::RgbImage;
use ndarray::{Array3, ArrayD, ArrayView3};

use crate::analysis::{Prepared, prepare_plain};
use crate::error::Result;
use crate::grad::Probability;
use crate::manifest::InputSpec;
use crate::options::ExplainerOptions;
use crate::preprocess::{Preprocessor, as_input, channels_first};
use crate::runner::Runner;
use crate::scores::Scores;

/// Classifies one picture after the other.
pub struct Classifier {
    preprocessor: Preprocessor,
    runner: Runner,
    probability: Probability,
    /// The model's.
    pub name: String,
    /// One a class, in the order of the logits; empty where nobody named them.
    pub labels: Vec<String>,
    pub classes: usize,
}

impl Classifier {
    /// # Errors
    /// As [`analyse`](crate::analyse), or the runtime does not take the model.
    pub fn new(options: &ExplainerOptions) -> Result<Self> {
        let prepared = prepare_plain(options)?;
        let runner = Runner::new(&prepared, 1, options.compute)?;
        let Prepared { manifest, probability, classes, .. } = prepared;
        Ok(Self {
            preprocessor: Preprocessor::new(manifest.input),
            runner,
            probability,
            name: manifest.name,
            labels: manifest.labels,
            classes,
        })
    }

    /// The name of a class, or its number where the model has no labels.
    pub fn label(&self, class_index: usize) -> String {
        self.labels.get(class_index).cloned().unwrap_or_else(|| format!("class {class_index}"))
    }

    /// Whether the model takes `[N,h,w,C]`.
    pub fn channels_last(&self) -> bool {
        self.runner.channels_last
    }

    pub fn input_spec(&self) -> &InputSpec {
        self.preprocessor.spec()
    }

    /// A picture as the model takes it, `[C,h,w]`.
    ///
    /// # Errors
    /// The picture is empty.
    pub fn preprocess(&mut self, picture: &RgbImage) -> Result<Array3<f32>> {
        let (input, _) = self.preprocessor.run(picture)?;
        Ok(channels_first(input, self.runner.channels_last)?.to_owned())
    }

    /// A preprocessed picture `[C,h,w]` in the form of the model's input.
    pub fn as_input(&self, picture: ArrayView3<f32>) -> ArrayD<f32> {
        as_input(picture, self.runner.channels_last)
    }

    /// The scores of all classes for a preprocessed picture `[C,h,w]`.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn classify(&mut self, input: ArrayView3<f32>) -> Result<Scores> {
        let input = as_input(input, self.runner.channels_last);
        let run = self.runner.run(input.view(), &[-1])?;
        Ok(Scores::of(run.logits()?, self.probability))
    }
}
