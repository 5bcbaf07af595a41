//! Step 1: a model's file, with its manifest, its metadata, or a guess of its preprocessing.

use std::path::Path;

use super::embedded::EMBEDDED;
use super::manifest::{InputSpec, Layout, Manifest};
use super::metadata::Contract;
use super::options::{ModelOptions, ModelSource, Randomised};
use super::preset::Preset;
use crate::error::{Error, Result};
use crate::files::limits;
use crate::grad;
use crate::onnx::proto::{Node, ValueInfo};
use crate::onnx::{GraphIndex, OnnxModel};

/// The preprocessing that was guessed for an ONNX file, and why.
#[derive(Clone, Copy, Debug)]
pub struct Guess {
    pub preset: Preset,
    pub reason: &'static str,
}

/// A model file, and what is known of it without a look at its graph.
#[derive(Clone)]
pub struct LoadedModel {
    pub model: OnnxModel,
    pub manifest: Manifest,
    /// The guessed preprocessing, where nothing states it.
    pub guess: Option<Guess>,
    /// The metadata of a model that is augmented already.
    pub contract: Option<Contract>,
}

/// Reads a model.
///
/// # Errors
/// The file is absent, not an ONNX model, or takes something other than a picture.
pub fn load(options: &ModelOptions) -> Result<LoadedModel> {
    let mut loaded = match &options.model {
        ModelSource::Embedded(embedded) => {
            let (model, manifest) = embedded.load()?;
            LoadedModel { model, manifest, guess: None, contract: None }
        }
        ModelSource::File(path) => load_file(path, options.preset)?,
    };
    if let Some(path) = &options.labels {
        let text = limits::read_text(path).map_err(|e| Error::reading(path, &e))?;
        loaded.manifest.labels = text.lines().map(str::to_owned).collect();
    }
    if let Some(output) = &options.output {
        loaded.manifest.output = Some(output.clone());
    }
    for label in &mut loaded.manifest.labels {
        *label = limits::printable(label);
    }
    if let Some(Randomised { share, seed }) = options.randomised {
        loaded.model.randomise(share, seed);
    }
    Ok(loaded)
}

fn load_file(path: &Path, preset: Option<Preset>) -> Result<LoadedModel> {
    if !path.exists() {
        let known: Vec<&str> = EMBEDDED.iter().map(|e| e.name).collect();
        let problem = format!("no such file; built in are {}", known.join(", "));
        return Err(Error::model(path.display(), problem));
    }
    let model = OnnxModel::read(path)?;
    let contract = Contract::read(&model)?;
    let manifest = path.with_extension("toml");
    if preset.is_none() && manifest.exists() {
        return Ok(LoadedModel { model, manifest: Manifest::read(&manifest)?, guess: None, contract });
    }
    let (input, guess) = match (&contract, preset) {
        (Some(contract), None) => (contract.preprocessing.clone(), None),
        _ => bare_input(&model, preset)?,
    };
    let manifest = Manifest {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        description: String::new(),
        labels: contract.as_ref().map(|contract| contract.labels.clone()).unwrap_or_default(),
        layer: None,
        output: None,
        licence: String::new(),
        sha256: String::new(),
        input,
        known: contract.as_ref().and_then(|contract| contract.known.clone()),
        accuracy: None,
    };
    Ok(LoadedModel { model, manifest, guess, contract })
}

/// The input of an ONNX file without a manifest: size, layout and channels from the graph, the rest from a preset.
fn bare_input(model: &OnnxModel, preset: Option<Preset>) -> Result<(InputSpec, Option<Guess>)> {
    const USUAL_SIDE: i64 = 224;
    let input = image_input(model)?;
    let dims = input.dims().unwrap_or_default();
    let picture = |channels: Option<i64>| matches!(channels, Some(1 | 3));
    let (layout, channels, height, width) = match dims.as_slice() {
        [_, c, h, w] if picture(*c) => (Layout::ChannelsFirst, *c, h, w),
        [_, h, w, c] if picture(*c) => (Layout::ChannelsLast, *c, h, w),
        // Without a shape, it is the layout that most exporters write.
        [_, None, h, w] => (Layout::ChannelsFirst, Some(3), h, w),
        _ => {
            let (name, shape) = (input.name(), input.dims_text());
            return Err(model.error(format!(
                "its input {name} [{shape}] is no picture; whycam explains classifiers of [N,C,h,w] or [N,h,w,C] with \
                 1 or 3 channels"
            )));
        }
    };
    let side = |d: &Option<i64>| d.unwrap_or(USUAL_SIDE).clamp(1, 4096) as usize;
    let channels = channels.map_or(3, |c| c as usize);
    let guess = guess_preset(model, input, layout, channels);
    let spec = preset.unwrap_or(guess.preset).input(side(width), side(height), layout);
    Ok((InputSpec { channels, ..spec }, preset.is_none().then_some(guess)))
}

fn guess_preset(model: &OnnxModel, input: &ValueInfo, layout: Layout, channels: usize) -> Guess {
    let guess = |preset, reason| Guess { preset, reason };
    if input.kind().is_some_and(|kind| !kind.is_float()) {
        guess(Preset::Raw, "its input is whole numbers")
    } else if scales_pixels(model, input.name()) {
        guess(Preset::Raw, "it scales the pixels itself")
    } else if channels == 1 {
        guess(Preset::Unit, "it takes one channel")
    } else if layout == Layout::ChannelsLast {
        guess(Preset::Symmetric, "channels last, as most Keras models")
    } else {
        guess(Preset::ImageNet, "the preprocessing of most torchvision and timm models")
    }
}

/// Whether the first op of a model brings numbers of 0 to 255 to about 1.
fn scales_pixels(model: &OnnxModel, input: &str) -> bool {
    let index = GraphIndex::new(model.graph());
    let reader = |tensor: &str| {
        let reads = |node: &&Node| node.input.iter().any(|i| i == tensor);
        model.graph().node.iter().find(reads)
    };
    let mut tensor = input;
    while let Some(node) = reader(tensor) {
        let factor = node.input.iter().find_map(|i| index.constant(i)?.first_f32());
        return match (node.op(), factor) {
            ("Cast" | "Identity" | "Transpose", _) => {
                tensor = node.output.first().map_or("", String::as_str);
                continue;
            }
            ("Mul", Some(factor)) => factor.abs() < 0.05,
            ("Div", Some(divisor)) => divisor.abs() > 20.0,
            ("Sub" | "Add", Some(shift)) => shift.abs() > 10.0,
            _ => false,
        };
    }
    false
}

/// The only input of a model that is a picture.
///
/// # Errors
/// The model has no input, or several.
pub fn image_input(model: &OnnxModel) -> Result<&ValueInfo> {
    let inputs: Vec<&ValueInfo> = model.graph().true_inputs().filter(|i| i.name() != grad::CLASS_INDEX).collect();
    match inputs.as_slice() {
        [only] => Ok(only),
        [] => Err(model.error("it has no input; whycam explains classifiers of one picture")),
        several => {
            let names: Vec<&str> = several.iter().map(|i| i.name()).collect();
            let count = names.len();
            Err(model.error(format!(
                "it has {count} inputs ({}); whycam explains classifiers of one picture, so export it with the others \
                 fixed",
                names.join(", ")
            )))
        }
    }
}
