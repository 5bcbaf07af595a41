//! The models that tests/reference/tasks.py writes.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

use ndarray::{Array4, ArrayD};
use serde::Deserialize;
use whycam::grad::CLASS_INDEX;
use whycam::onnx::OnnxModel;
use whycam::onnx::proto::ValueInfo;
use whycam::session::{Input, Session};
use whycam::{Compute, Explainer, Explanation, LayerName, ModelOptions, Reference, Request};

use super::maps::Tolerance;
use super::reference;

/// A model, as tasks.json lists it.
#[derive(Deserialize)]
pub struct Case {
    pub name: String,
    pub file: String,
    pub task: String,
    pub layer: String,
    pub class_index: usize,
    #[serde(default)]
    pub channels_last: bool,
    #[serde(default)]
    pub shares: Vec<f32>,
    #[serde(default)]
    pub sums: Vec<f32>,
    #[serde(default)]
    pub logits: Vec<f32>,
    #[serde(default)]
    pub words: Vec<String>,
    #[serde(default)]
    pub probabilities: Vec<f32>,
    pub scale: Option<f32>,
    pub bias: Option<f32>,
}

pub const NEAR: Tolerance = Tolerance { cosine: 0.9999, difference: 2e-3 };

impl Case {
    pub fn all() -> Vec<Self> {
        serde_json::from_str(&std::fs::read_to_string(reference("tasks/tasks.json")).unwrap()).unwrap()
    }

    /// The file with the model of pictures.
    pub fn graph(&self) -> PathBuf {
        let path = self.path();
        let inside = ["vision_model.onnx", "model.onnx"].map(|name| path.join(name));
        inside.into_iter().find(|path| path.exists()).unwrap_or(path)
    }

    /// The bits of the model's first output, for the picture; none for a model that takes words as well.
    pub fn own_output(&self, path: &Path) -> Vec<u32> {
        let original = OnnxModel::read(&self.graph()).unwrap();
        let inputs: Vec<&str> = original.graph().true_inputs().map(ValueInfo::name).collect();
        let [input] = inputs.as_slice() else { return Vec::new() };
        let output = original.graph().output[0].name().to_owned();
        let mut model = OnnxModel::read(path).unwrap();
        let graph = model.graph_mut();
        graph.output.retain(|own| own.name() == output);
        let mut session = Session::new(&model, Compute::on_threads(1)).unwrap();
        let (picture, asked) = (self.picture().into_dyn(), ArrayD::from_elem(vec![1], 0));
        let mut given = vec![(*input, Input::Float(picture.view()))];
        if model.graph().input.iter().any(|input| input.name() == CLASS_INDEX) {
            given.push((CLASS_INDEX, Input::Int64(asked.view())));
        }
        let run = session.run(given).unwrap();
        run.floats(&output).map(|values| values.iter().map(|value| value.to_bits()).collect()).unwrap_or_default()
    }

    pub fn named(name: &str) -> Self {
        Self::all().into_iter().find(|case| case.name == name).unwrap()
    }

    pub fn path(&self) -> PathBuf {
        reference("tasks").join(&self.file)
    }

    /// Options that name what the model is compared with, and nothing that says what it is.
    pub fn options(&self) -> ModelOptions {
        let mut options = ModelOptions::default();
        options.model = self.path().into();
        options.compute = Compute::on_threads(1);
        if !self.words.is_empty() {
            options.comparison.references = self.words.iter().cloned().map(Reference::Words).collect();
            if !self.file.ends_with("_whole") {
                (options.comparison.scale, options.comparison.bias) = (self.scale, self.bias);
            }
        } else if self.task == "embed" {
            let pictures = [1, 2].map(|number| Reference::Picture {
                name: number.to_string(),
                path: reference(&format!("tasks/reference-{number}.npy")),
            });
            options.comparison.references = pictures.into();
        }
        options
    }

    pub fn request(&self) -> Request {
        let mut request = Request::default();
        request.layers = vec![LayerName::from(self.layer.as_str())];
        request
    }

    pub fn explain(&self, request: &Request) -> whycam::Result<Explanation> {
        Explainer::new(&self.options(), request)?.explain_tensor(self.picture().view().into_dyn())
    }

    pub fn picture(&self) -> Array4<f32> {
        let picture: Array4<f32> = ndarray_npy::read_npy(reference("tasks/input.npy")).unwrap();
        if self.channels_last { picture.permuted_axes([0, 2, 3, 1]).as_standard_layout().to_owned() } else { picture }
    }

    /// Activations and gradient at the layer, as autograd gives them: `[2,C,h,w]`.
    pub fn expected(&self) -> Array4<f32> {
        ndarray_npy::read_npy(reference(&format!("tasks/{}.npy", self.name))).unwrap()
    }
}

pub fn text(error: whycam::Error) -> String {
    error.to_string()
}

pub fn near(found: &[f32], expected: &[f32], by: f32) -> Result<(), String> {
    let alike = found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= by);
    if alike { Ok(()) } else { Err(format!("{found:?}, not {expected:?}")) }
}
