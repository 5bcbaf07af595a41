//! The plain forward pass of a detector, without an explanation.

use image::RgbImage;
use ndarray::{Array3, ArrayView3};

use super::candidates::{Candidates, overlap};
use super::plain::PlainModel;
use super::runner::ModelRunner;
use crate::error::{Error, Result};
use crate::grad::Detection;
use crate::model::{InputSpec, Preprocessor, as_input, channels_first};

/// Finds objects in one picture after the other.
pub struct Detector {
    preprocessor: Preprocessor,
    runner: ModelRunner,
    detection: Detection,
    /// The name of the model.
    pub name: String,
}

impl Detector {
    /// # Errors
    /// The model is no detector.
    pub fn new(model: PlainModel) -> Result<Self> {
        let PlainModel { runner, preprocessor, manifest, task, .. } = model;
        let Some(detection) = task.as_detection().cloned() else {
            return Err(Error::model(&manifest.name, "it is no detector"));
        };
        Ok(Self { preprocessor, runner, detection, name: manifest.name })
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

    /// How surely a preprocessed picture `[C,h,w]` still shows an object: the largest product of a score of its class and
    /// of the overlap of its box with `bounds`, in pixels of the input (Petsiuk et al., *Black-box Explanation of Object
    /// Detectors via Saliency Maps*, CVPR 2021, equation 3 with the score of the class as the similarity of classes).
    ///
    /// # Errors
    /// The runtime fails.
    pub fn certainty(&mut self, input: ArrayView3<f32>, class_index: usize, bounds: [f32; 4]) -> Result<f32> {
        let input = as_input(input, self.runner.channels_last);
        let outputs = self.runner.run(input.view(), &[])?;
        let candidates = Candidates::new(&self.detection, &outputs)?;
        let near = candidates.of_class(class_index).map(|found| found.score * overlap(found.bounds, bounds));
        Ok(near.fold(0.0, f32::max))
    }
}
