//! From a picture to its explanation: preprocess, one run, map.

use image::RgbImage;
use ndarray::{Array1, ArrayView1, ArrayViewD, Axis, CowArray, Ix2, Ix4};

use crate::analysis::{ExplainerOptions, Guess, Prepared, prepare};
use crate::cam::{self, CamMap, Method};
use crate::error::{Error, Result};
use crate::grad::{CLASS_INDEX, Explained, Probability};
use crate::preprocess::{Preprocessor, Region};
use crate::session::{Input, Outputs, Session};

/// One class of a ranking.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    pub class_index: usize,
    /// 0..=1.
    pub probability: f32,
}

/// Why one picture is what the model says it is.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The class that the map explains.
    pub class_index: usize,
    /// 0..=1.
    pub probability: f32,
    pub logit: f32,
    /// The five likeliest classes, first to last.
    pub top: Vec<Ranked>,
    pub map: CamMap,
    /// Where on the picture the map lies.
    pub region: Region,
}

/// Explains one picture after the other.
pub struct Explainer {
    preprocessor: Preprocessor,
    runner: Runner,
    question: Question,
}

/// The model in the runtime.
struct Runner {
    session: Session,
    input: String,
    /// Of the model's input, with the batch that the model wants.
    shape: Vec<usize>,
}

/// What is asked of each picture.
struct Question {
    probability: Probability,
    method: Method,
    class: Option<usize>,
    facts: Facts,
}

/// What stays the same from picture to picture.
#[derive(Clone, Debug)]
pub struct Facts {
    pub model: String,
    pub layer: String,
    pub method: String,
    pub labels: Vec<String>,
    /// How pictures are preprocessed, where that was guessed.
    pub guess: Option<Guess>,
}

impl Facts {
    /// The name of a class, or its number where the model has no labels.
    pub fn label(&self, class_index: usize) -> String {
        self.labels.get(class_index).cloned().unwrap_or_else(|| format!("class {class_index}"))
    }
}

impl Explainer {
    /// Reads the model, appends the backward pass and loads the whole into the runtime.
    ///
    /// # Errors
    /// As [`prepare`]; method or class do not exist.
    pub fn new(options: &ExplainerOptions) -> Result<Self> {
        let (method_name, method) = cam::find(options.method.as_deref().unwrap_or(cam::METHODS[0].0))?;
        let Prepared { mut model, manifest, guess, input, layer, classes, probability, .. } = prepare(options)?;
        let class = match options.class.as_deref() {
            None | Some("top") => None,
            Some(name) => Some(find_class(name, &manifest.labels, classes)?),
        };
        // One picture at a time: fixed shapes are what a runtime optimises best.
        let mut shape = manifest.input.shape();
        for info in &mut model.graph_mut().input {
            if info.name() == CLASS_INDEX {
                info.set_dims(&[shape[0]]);
            } else if info.name() == input {
                shape[0] = info.dims().and_then(|d| d[0]).map_or(1, |batch| batch as usize);
                info.set_dims(&shape);
            }
        }
        model.take_float32(&input);
        let facts =
            Facts { model: manifest.name, layer, method: method_name.to_owned(), labels: manifest.labels, guess };
        Ok(Self {
            preprocessor: Preprocessor::new(manifest.input),
            runner: Runner { session: Session::new(&model, options.threads)?, input, shape },
            question: Question { probability, method, class, facts },
        })
    }

    pub fn facts(&self) -> &Facts {
        &self.question.facts
    }

    /// # Errors
    /// The runtime fails.
    pub fn explain(&mut self, picture: &RgbImage) -> Result<Explanation> {
        let (tensor, region) = self.preprocessor.run(picture)?;
        let outputs = self.runner.run(tensor, self.question.class)?;
        self.question.answer(&outputs, region)
    }

    /// Explains the model's input as it is: a picture that was preprocessed elsewhere, in the shape
    /// of the model's input, with or without a batch of 1. The map lies over all of it.
    ///
    /// # Errors
    /// The tensor has another shape than the model's input, or the runtime fails.
    pub fn explain_tensor(&mut self, tensor: ArrayViewD<f32>) -> Result<Explanation> {
        let wanted = &self.runner.shape[1..];
        let given = tensor.shape().to_vec();
        let tensor = if given == wanted { tensor.insert_axis(Axis(0)) } else { tensor };
        if tensor.shape() != [&[1], wanted].concat() {
            let problem = format!("the tensor is {given:?}, but the model takes {wanted:?}");
            return Err(Error::model(&self.question.facts.model, problem));
        }
        let spec = self.preprocessor.spec();
        let region = Region { x: 0.0, y: 0.0, width: spec.width as f64, height: spec.height as f64 };
        let outputs = self.runner.run(tensor.as_standard_layout().view(), self.question.class)?;
        self.question.answer(&outputs, region)
    }
}

impl Runner {
    /// Runs the model on one picture, which stands for all of a fixed batch.
    fn run(&mut self, tensor: ArrayViewD<f32>, class: Option<usize>) -> Result<Outputs<'_>> {
        let class = Array1::from_elem(self.shape[0], class.map_or(-1, |c| c as i64)).into_dyn();
        let batch = match self.shape[0] {
            1 => CowArray::from(tensor),
            _ => tensor.broadcast(self.shape.as_slice()).map_or(CowArray::from(tensor.view()), |t| t.to_owned().into()),
        };
        self.session
            .run(vec![(self.input.as_str(), Input::Float(batch.view())), (CLASS_INDEX, Input::Int64(class.view()))])
    }
}

impl Question {
    fn answer(&self, outputs: &Outputs, region: Region) -> Result<Explanation> {
        const NAMES: Explained = Explained::NAMES;
        let shape =
            |e: ndarray::ShapeError| Error::model(&self.facts.model, format!("an output has the wrong shape: {e}"));
        let logits = outputs.floats(NAMES.logits)?.into_dimensionality::<Ix2>().map_err(shape)?;
        let activations = outputs.floats(NAMES.activations)?.into_dimensionality::<Ix4>().map_err(shape)?;
        let gradients = outputs.floats(NAMES.gradients)?.into_dimensionality::<Ix4>().map_err(shape)?;

        let logits = logits.index_axis(Axis(0), 0);
        let probabilities = to_probabilities(logits, self.probability);
        let mut ranking: Vec<usize> = (0..probabilities.len()).collect();
        ranking.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
        let class_index = self.class.unwrap_or(ranking[0]);
        let ranked = |&class_index: &usize| Ranked { class_index, probability: probabilities[class_index] };
        let values = (self.method)(activations.index_axis(Axis(0), 0), gradients.index_axis(Axis(0), 0));
        Ok(Explanation {
            class_index,
            probability: probabilities[class_index],
            logit: logits[class_index],
            top: ranking.iter().take(5).map(ranked).collect(),
            map: CamMap::new(values),
            region,
        })
    }
}

fn to_probabilities(logits: ArrayView1<f32>, kind: Probability) -> Array1<f32> {
    match kind {
        Probability::Softmax => {
            let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let powers = logits.mapv(|v| (v - max).exp());
            let sum = powers.sum();
            powers / sum
        }
        Probability::Sigmoid => logits.mapv(|v| 1.0 / (1.0 + (-v).exp())),
    }
}

fn find_class(name: &str, labels: &[String], classes: usize) -> Result<usize> {
    if let Some(at) = labels.iter().position(|label| label.eq_ignore_ascii_case(name)) {
        return Ok(at);
    }
    if let Some(index) = name.parse::<usize>().ok().filter(|index| *index < classes) {
        return Ok(index);
    }
    let known = if labels.is_empty() || labels.len() > 20 {
        format!("give a number from 0 to {}", classes - 1)
    } else {
        format!("there are {}", labels.join(", "))
    };
    Err(Error::Unknown { what: "class", name: name.to_owned(), known })
}
