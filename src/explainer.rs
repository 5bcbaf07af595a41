//! From a picture to its explanation: preprocess, one run, map.

use std::path::Path;

use image::RgbImage;
use ndarray::{Array1, ArrayView1, Axis, Ix2, Ix4};

use crate::cam::{self, CamMap, Method};
use crate::error::{Error, Result};
use crate::grad::{self, CLASS_INDEX, Explained, Head, Probability, Shapes, Target};
use crate::manifest::{InputSpec, Layout, Manifest};
use crate::models::EMBEDDED;
use crate::onnx::OnnxModel;
use crate::preprocess::{Preprocessor, Region};
use crate::session::{self, Input, Session};

/// What to explain with. The default is the first embedded model with Grad-CAM.
#[derive(Clone, Debug, Default)]
pub struct ExplainerOptions {
    /// The name of an embedded model or the path of an ONNX file.
    pub model: Option<String>,
    pub layer: Option<String>,
    pub method: Option<String>,
    /// A label, an index, or `top` for the predicted class.
    pub class: Option<String>,
    /// One label a line, in the order of the logits.
    pub labels: Option<std::path::PathBuf>,
    /// The preprocessing of an ONNX file that has no manifest beside it.
    pub preset: Option<String>,
    /// 0 leaves the choice to the runtime.
    pub threads: usize,
}

/// A classifier that has been read and looked through, before the backward pass is added.
pub struct Analysis {
    pub model: OnnxModel,
    pub manifest: Manifest,
    pub input: String,
    pub head: Head,
    pub target: Target,
    pub shapes: Shapes,
}

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
    session: Session,
    preprocessor: Preprocessor,
    outputs: Explained,
    input: String,
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
}

impl Facts {
    /// The name of a class, or its number where the model has no labels.
    pub fn label(&self, class_index: usize) -> String {
        self.labels.get(class_index).cloned().unwrap_or_else(|| format!("class {class_index}"))
    }
}

/// Reads a model and finds its logits and target layer.
///
/// # Errors
/// The model cannot be read, is no image classifier, or lacks the layer asked for.
pub fn analyse(options: &ExplainerOptions) -> Result<Analysis> {
    let (mut model, mut manifest) = open(options)?;
    grad::reserve_names(&mut model);
    if let Some(path) = &options.labels {
        let text = std::fs::read_to_string(path).map_err(|e| Error::reading(path, &e))?;
        manifest.labels = text.lines().map(str::to_owned).collect();
    }
    let InputSpec { width, height, layout, .. } = manifest.input;
    let shape = match layout {
        Layout::ChannelsFirst => [1, 3, height, width],
        Layout::ChannelsLast => [1, height, width, 3],
    };
    let input = image_input(&model)?.to_owned();
    let shapes = session::probe_shapes(&model, &input, &shape)?;
    let head = grad::find_head(&model, &shapes)?;
    if !manifest.labels.is_empty() && manifest.labels.len() != head.classes {
        let labels = manifest.labels.len();
        return Err(model.error(format!("it has {} classes, but there are {labels} labels", head.classes)));
    }
    let layer = options.layer.as_deref().or(manifest.layer.as_deref());
    let target = grad::find_target(&model, &shapes, &head, layer)?;
    Ok(Analysis { model, manifest, input, head, target, shapes })
}

impl Analysis {
    /// Appends the backward pass and the outputs of the map to the model, and writes what a user of
    /// the file must know into its metadata: `whycam.layer`, `whycam.logits`, `whycam.grid`, and as
    /// JSON `whycam.labels` and `whycam.preprocessing`.
    ///
    /// # Errors
    /// An op between logits and target layer has no gradient rule.
    pub fn explain(&mut self) -> Result<Explained> {
        let json = |e: serde_json::Error| Error::model(&self.manifest.name, e);
        let labels = serde_json::to_string(&self.manifest.labels).map_err(json)?;
        let preprocessing = serde_json::to_string(&self.manifest.input).map_err(json)?;
        self.model.set_metadata("whycam.labels", labels);
        self.model.set_metadata("whycam.preprocessing", preprocessing);
        grad::explain(&mut self.model, &self.shapes, &self.head, &self.target)
    }
}

fn open(options: &ExplainerOptions) -> Result<(OnnxModel, Manifest)> {
    let Some(name) = &options.model else { return EMBEDDED[0].load() };
    if let Some(embedded) = EMBEDDED.iter().find(|e| e.name == name) {
        return embedded.load();
    }
    let path = Path::new(name);
    if !path.exists() {
        let known: Vec<&str> = EMBEDDED.iter().map(|e| e.name).collect();
        let problem = format!("no such file; built in are {}", known.join(", "));
        return Err(Error::model(name, problem));
    }
    let model = OnnxModel::read(path)?;
    let beside = path.with_extension("toml");
    if options.preset.is_none() && beside.exists() {
        return Ok((model, Manifest::read(&beside)?));
    }
    let manifest = bare_manifest(&model, path, options.preset.as_deref().unwrap_or("imagenet"))?;
    Ok((model, manifest))
}

/// The manifest of an ONNX file that has none: size and layout from its input, the rest from a preset.
fn bare_manifest(model: &OnnxModel, path: &Path, preset: &str) -> Result<Manifest> {
    const USUAL_SIDE: i64 = 224;
    let input = image_input(model)?;
    let dims =
        model.graph().true_inputs().next().and_then(super::onnx::proto::ValueInfo::dims).filter(|d| d.len() == 4);
    let dims = dims.ok_or_else(|| {
        model.error(format!(
            "its input {input} is no picture ([N,3,h,w] or [N,h,w,3]); whycam explains image classifiers"
        ))
    })?;
    let layout = if dims[3] == Some(3) && dims[1] != Some(3) { Layout::ChannelsLast } else { Layout::ChannelsFirst };
    let (height, width) = match layout {
        Layout::ChannelsFirst => (dims[2], dims[3]),
        Layout::ChannelsLast => (dims[1], dims[2]),
    };
    let side = |d: Option<i64>| d.unwrap_or(USUAL_SIDE).clamp(1, 4096) as usize;
    Ok(Manifest {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        description: String::new(),
        labels: Vec::new(),
        layer: None,
        licence: String::new(),
        sha256: String::new(),
        input: InputSpec::preset(preset, side(width), side(height), layout)?,
        accuracy: None,
    })
}

/// The name of the model's only input.
fn image_input(model: &OnnxModel) -> Result<&str> {
    let inputs: Vec<&str> = model.graph().true_inputs().map(super::onnx::proto::ValueInfo::name).collect();
    match inputs.as_slice() {
        [only] => Ok(only),
        [] => Err(model.error("it has no input")),
        several => Err(model.error(format!(
            "it has {} inputs ({}); whycam explains classifiers of one picture, so export it with the others fixed",
            several.len(),
            several.join(", ")
        ))),
    }
}

impl Explainer {
    /// Reads the model, appends the backward pass and loads the whole into the runtime.
    ///
    /// # Errors
    /// As [`analyse`]; an op has no gradient rule; method or class do not exist.
    pub fn new(options: &ExplainerOptions) -> Result<Self> {
        let (method_name, method) = cam::find(options.method.as_deref().unwrap_or(cam::METHODS[0].0))?;
        let mut analysis = analyse(options)?;
        let outputs = analysis.explain()?;
        let Analysis { mut model, manifest, input, head, target, shapes } = analysis;
        // One picture at a time: fixed shapes are what a runtime optimises best.
        for info in &mut model.graph_mut().input {
            if info.name() == CLASS_INDEX {
                info.set_dims(&[1]);
            } else if info.name() == input {
                info.set_dims(&shapes[&input]);
            }
        }
        let class = match options.class.as_deref() {
            None | Some("top") => None,
            Some(name) => Some(find_class(name, &manifest.labels, head.classes)?),
        };
        let facts = Facts {
            model: manifest.name,
            layer: target.layer.tensor,
            method: method_name.to_owned(),
            labels: manifest.labels,
        };
        Ok(Self {
            session: Session::new(&model, options.threads)?,
            preprocessor: Preprocessor::new(manifest.input),
            outputs,
            input,
            probability: head.probability,
            method,
            class,
            facts,
        })
    }

    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// # Errors
    /// The runtime fails.
    pub fn explain(&mut self, picture: &RgbImage) -> Result<Explanation> {
        let (tensor, region) = self.preprocessor.run(picture)?;
        let class = Array1::from_elem(1, self.class.map_or(-1, |c| c as i64)).into_dyn();
        let inputs = vec![(self.input.as_str(), Input::Float(tensor)), (CLASS_INDEX, Input::Int64(class.view()))];
        let outputs = self.session.run(inputs)?;
        let model = &self.facts.model;
        let shape = |e: ndarray::ShapeError| Error::model(model, format!("an output has the wrong shape: {e}"));
        let logits = outputs.floats(self.outputs.logits)?.into_dimensionality::<Ix2>().map_err(shape)?;
        let activations = outputs.floats(self.outputs.activations)?.into_dimensionality::<Ix4>().map_err(shape)?;
        let gradients = outputs.floats(self.outputs.gradients)?.into_dimensionality::<Ix4>().map_err(shape)?;

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
