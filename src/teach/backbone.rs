//! The model whose features are kept.

use image::RgbImage;
use ndarray::Array1;

use super::crops::crops;
use crate::error::{Error, Result};
use crate::grad::Task;
use crate::model::{
    InputSpec, LoadedModel, ModelOptions, Region, TypedModel, VectorReader, load, task_of, type_tensors,
};
use crate::onnx::proto::ValueInfo;
use crate::onnx::{GraphIndex, OnnxModel, Tensors};
use crate::session::Compute;

/// A model and the vector that it makes of a picture: an embedding, or what enters the last layer of a classifier.
pub struct Backbone {
    pub typed: TypedModel,
    /// The tensor of features, `[N,C]` or the same with further axes of length 1.
    pub features: String,
    /// `C`
    pub length: usize,
}

impl Backbone {
    /// # Errors
    /// The model cannot be read or run, or makes no vector of a picture.
    pub fn new(options: &ModelOptions) -> Result<Self> {
        let loaded = load(options)?;
        if loaded.contract.is_some() {
            return Err(loaded.model.error("it is augmented already; give the model that it was made from"));
        }
        let mut typed = type_tensors(loaded)?;
        let (task, _) = task_of(&mut typed)?;
        let TypedModel { loaded: LoadedModel { model, .. }, tensors, .. } = &typed;
        let features = match &task {
            Task::Embed(row) => row.logits.clone(),
            Task::Classify(row) => before_last_layer(model, tensors, &row.logits)?,
            task => {
                let problem = format!("its task is '{}'; new classes need a classifier or an embedding", task.name());
                return Err(model.error(problem));
            }
        };
        let length = tensors.get(&features).map_or(0, |info| info.shape.iter().skip(1).product());
        if length == 0 {
            return Err(model.error(format!("the shape of its features {features} is unknown")));
        }
        Ok(Self { typed, features, length })
    }

    /// The name of the model.
    pub fn name(&self) -> &str {
        &self.typed.loaded.manifest.name
    }

    /// Reads the features of pictures.
    ///
    /// # Errors
    /// The runtime rejects the model.
    pub fn reader(&self, compute: Compute) -> Result<FeatureReader> {
        let vectors = VectorReader::new(&self.typed, &self.features, compute)?;
        Ok(FeatureReader { vectors, input: self.typed.loaded.manifest.input.clone() })
    }
}

/// Reads the features of pictures.
pub struct FeatureReader {
    vectors: VectorReader,
    input: InputSpec,
}

impl FeatureReader {
    /// The features `[C]` of a picture.
    ///
    /// # Errors
    /// The picture is empty, or the runtime fails.
    pub fn features(&mut self, picture: &RgbImage) -> Result<Array1<f32>> {
        self.vectors.of_picture(picture)
    }

    /// The part of a picture that the model sees.
    pub fn seen(&self, picture: &RgbImage) -> Region {
        let (width, height) = picture.dimensions();
        let region = Region::of(&self.input, width, height, 1.0);
        // A letterbox is larger than the picture.
        let (left, top) = (region.x.max(0.0), region.y.max(0.0));
        let right = (region.x + region.width).min(f64::from(width));
        let bottom = (region.y + region.height).min(f64::from(height));
        Region { x: left, y: top, width: right - left, height: bottom - top }
    }

    /// The features of a picture, followed by those of this number of random crops.
    ///
    /// # Errors
    /// As [`FeatureReader::features`].
    pub fn views(&mut self, picture: &RgbImage, crops_each: usize, seed: u64) -> Result<Vec<Array1<f32>>> {
        let crops = crops(picture, crops_each, seed);
        std::iter::once(picture).chain(&crops).map(|view| self.features(view)).collect()
    }
}

/// What enters the last layer with weights, walking back from the logits.
fn before_last_layer(model: &OnnxModel, tensors: &Tensors, logits: &str) -> Result<String> {
    let index = GraphIndex::new(model.graph());
    let inputs: Vec<&str> = model.graph().true_inputs().map(ValueInfo::name).collect();
    let refused = |what: &str| -> Error {
        model.error(format!(
            "its classes come from {what}, not from a vector of features; give a classifier whose last layer is a matrix, \
             or an embedding"
        ))
    };
    let mut tensor = logits;
    loop {
        let Some(node) = index.producer_node(tensor) else { return Err(refused("the picture itself")) };
        let is_constant =
            |name: &&String| name.is_empty() || inputs.iter().all(|input| !index.depends_on_values(name, input));
        let Some(data) = node.input.iter().find(|name| !is_constant(name)) else {
            return Err(refused(&format!("constants ({})", node.label())));
        };
        match node.op() {
            "Gemm" | "MatMul" => return Ok(data.clone()),
            "Conv" => {
                let vector = tensors.get(data).is_some_and(|info| info.shape.iter().skip(2).all(|&length| length == 1));
                return if vector { Ok(data.clone()) } else { Err(refused("a convolution over the map")) };
            }
            "Add" | "Cast" | "Div" | "Dropout" | "Flatten" | "Identity" | "Mul" | "Reshape" | "Squeeze" | "Sub" => {
                tensor = data;
            }
            op => return Err(refused(&format!("an op {op} ({})", node.label()))),
        }
    }
}
