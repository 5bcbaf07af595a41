//! Reading the vector that a model makes of a picture.

use image::RgbImage;
use ndarray::{Array1, ArrayViewD, Axis};

use super::load::LoadedModel;
use super::preprocess::Preprocessor;
use super::typed::TypedModel;
use crate::error::{Error, Result};
use crate::session::{Compute, Input, TensorReader};

/// Reads the vectors, embeddings or features, that a model makes of pictures.
pub struct VectorReader {
    reader: TensorReader,
    preprocessor: Preprocessor,
    input: String,
    /// The shape of the model's input.
    shape: Vec<usize>,
    name: String,
}

impl VectorReader {
    /// `vector` is the tensor `[N,C]`, or the same with further axes of length 1.
    ///
    /// # Errors
    /// The runtime rejects the model.
    pub fn new(typed: &TypedModel, vector: &str, compute: Compute) -> Result<Self> {
        let TypedModel { loaded: LoadedModel { model, manifest, .. }, input, tensors } = typed;
        let mut model = model.clone();
        model.take_float32(input);
        Ok(Self {
            reader: TensorReader::new(&model, vector, compute)?,
            preprocessor: Preprocessor::new(manifest.input.clone()),
            input: input.clone(),
            shape: tensors[input.as_str()].shape.clone(),
            name: manifest.name.clone(),
        })
    }

    /// The vector of a picture.
    ///
    /// # Errors
    /// The picture is empty, or the runtime fails.
    pub fn of_picture(&mut self, picture: &RgbImage) -> Result<Array1<f32>> {
        let tensor = self.preprocessor.run(picture, 1.0)?.0.to_owned();
        self.of_tensor(tensor.view())
    }

    /// The vector of the model's input `[1,…]`, or the same without the batch.
    ///
    /// # Errors
    /// It has another shape, or the runtime fails.
    pub fn of_tensor(&mut self, tensor: ArrayViewD<f32>) -> Result<Array1<f32>> {
        let given = tensor.shape().to_vec();
        let tensor = if given.len() + 1 == self.shape.len() { tensor.insert_axis(Axis(0)) } else { tensor };
        let Some(batch) = tensor.broadcast(self.shape.as_slice()) else {
            let problem = format!("a picture's tensor is {given:?}, but the model takes {:?}", self.shape);
            return Err(Error::model(&self.name, problem));
        };
        let batch = batch.as_standard_layout().into_owned();
        let vectors = self.reader.read(vec![(self.input.as_str(), Input::Float(batch.view()))])?;
        // With or without a batch axis.
        Ok(vectors.iter().take(vectors.len() / self.shape[0].max(1)).copied().collect())
    }
}
