//! The plain forward pass, without an explanation.

use image::RgbImage;
use ndarray::{Array3, ArrayD, ArrayView3};

use super::plain::PlainModel;
use super::runner::ModelRunner;
use super::scores::Scores;
use crate::error::{Error, Result};
use crate::grad::{Probability, ScoreRow, Task};
use crate::model::{InputSpec, ModelOptions, Preprocessor, as_input, channels_first};

/// Classifies one picture after the other.
pub struct Classifier {
    preprocessor: Preprocessor,
    runner: ModelRunner,
    probability: Probability,
    /// The name of the model.
    pub name: String,
    /// One label a class, in the order of the logits; empty where the model has none.
    pub labels: Vec<String>,
    pub classes: usize,
}

impl Classifier {
    /// # Errors
    /// The model cannot be read or run, or is no classifier.
    pub fn new(options: &ModelOptions) -> Result<Self> {
        Self::of_model(PlainModel::new(options)?)
    }

    /// # Errors
    /// The model is no classifier.
    pub fn of_model(model: PlainModel) -> Result<Self> {
        let PlainModel { runner, preprocessor, manifest, task, .. } = model;
        let (Task::Classify(ScoreRow { classes, probability, .. })
        | Task::Embed(ScoreRow { classes, probability, .. })) = task
        else {
            let problem = format!("its task is '{}', and only classes and likeness can be measured", task.name());
            return Err(Error::model(&manifest.name, format!("{problem} on labelled photos")));
        };
        if probability == Probability::Cosine {
            let problem = "cosines are no probabilities, which the measures need; --scores softmax --logit-scale 100 makes \
                           them some";
            return Err(Error::model(&manifest.name, problem));
        }
        Ok(Self { runner, preprocessor, probability, name: manifest.name, labels: manifest.labels, classes })
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
        let (input, _) = self.preprocessor.run(picture, 1.0)?;
        Ok(channels_first(input, self.runner.channels_last)?.to_owned())
    }

    /// A preprocessed picture `[C,h,w]` in the layout of the model's input.
    pub fn as_input(&self, picture: ArrayView3<f32>) -> ArrayD<f32> {
        as_input(picture, self.runner.channels_last)
    }

    /// The scores of all classes for a preprocessed picture `[C,h,w]`.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn classify(&mut self, input: ArrayView3<f32>) -> Result<Scores> {
        /// The predicted class, for an augmented model.
        const PREDICTED: [i64; 1] = [-1];
        let input = as_input(input, self.runner.channels_last);
        let outputs = self.runner.run(input.view(), &PREDICTED)?;
        Ok(Scores::new(outputs.logits()?, self.probability))
    }
}
