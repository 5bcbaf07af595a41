//! Opening a model: its file, what its manifest says, and where nobody said how pictures become its
//! input, a guess.

use std::path::Path;

use crate::bounds;
use crate::error::{Error, Result};
use crate::grad;
use crate::manifest::{InputSpec, Layout, Manifest};
use crate::models::EMBEDDED;
use crate::onnx::proto::{Node, ValueInfo};
use crate::onnx::{GraphIndex, OnnxModel};
use crate::options::{ExplainerOptions, Randomised};

/// The metadata of a model that explains itself.
pub const LAYER: &str = "whycam.layer";
pub const LABELS: &str = "whycam.labels";
pub const PREPROCESSING: &str = "whycam.preprocessing";
pub const KNOWN: &str = "whycam.known";

/// How an ONNX file that says nothing about it may want its pictures.
#[derive(Clone, Copy, Debug)]
pub struct Guess {
    pub preset: &'static str,
    pub reason: &'static str,
}

/// A model file and what is known of it without looking through its graph.
#[derive(Clone)]
pub struct Opened {
    pub model: OnnxModel,
    pub manifest: Manifest,
    pub guess: Option<Guess>,
}

/// # Errors
/// The file is absent, no ONNX model, or takes something else than a picture.
pub fn open(options: &ExplainerOptions) -> Result<Opened> {
    let mut opened = open_file(options)?;
    if let Some(path) = &options.labels {
        let text = bounds::read_text(path).map_err(|e| Error::reading(path, &e))?;
        opened.manifest.labels = text.lines().map(str::to_owned).collect();
    }
    for label in &mut opened.manifest.labels {
        *label = bounds::printable(label);
    }
    if let Some(Randomised { share, seed }) = options.randomised {
        opened.model.randomise(share, seed);
    }
    Ok(opened)
}

fn open_file(options: &ExplainerOptions) -> Result<Opened> {
    let embedded = |(model, manifest)| Opened { model, manifest, guess: None };
    let Some(name) = &options.model else { return EMBEDDED[0].load().map(embedded) };
    if let Some(known) = EMBEDDED.iter().find(|e| e.name == name) {
        return known.load().map(embedded);
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
        return Ok(Opened { model, manifest: Manifest::read(&beside)?, guess: None });
    }
    let said = model.metadata(PREPROCESSING).filter(|_| options.preset.is_none());
    let (input, guess) = match said {
        Some(text) => (InputSpec::from_json(text).map_err(|problem| model.error(problem))?, None),
        None => bare_input(&model, options.preset.as_deref())?,
    };
    let labels = model.metadata(LABELS).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let known = model.metadata(KNOWN).and_then(|text| serde_json::from_str(text).ok());
    let manifest = Manifest {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        description: String::new(),
        labels,
        layer: None,
        output: None,
        licence: String::new(),
        sha256: String::new(),
        input,
        known,
        accuracy: None,
    };
    Ok(Opened { model, manifest, guess })
}

/// What a bare ONNX file takes: size, layout and channels from its input, the rest from a preset.
fn bare_input(model: &OnnxModel, preset: Option<&str>) -> Result<(InputSpec, Option<Guess>)> {
    const USUAL_SIDE: i64 = 224;
    let input = image_input(model)?;
    let dims = input.dims().unwrap_or_default();
    let picture = |channels: Option<i64>| matches!(channels, Some(1 | 3));
    let (layout, channels, height, width) = match dims.as_slice() {
        [_, c, h, w] if picture(*c) => (Layout::ChannelsFirst, *c, h, w),
        [_, h, w, c] if picture(*c) => (Layout::ChannelsLast, *c, h, w),
        // Nothing is said, so it is what most exporters write.
        [_, None, h, w] => (Layout::ChannelsFirst, Some(3), h, w),
        _ => {
            let (name, shape) = (input.name(), input.dims_text());
            return Err(model.error(format!(
                "its input {name} [{shape}] is no picture; whycam explains classifiers of [N,C,h,w] or [N,h,w,C] with 1 or 3 channels"
            )));
        }
    };
    let side = |d: &Option<i64>| d.unwrap_or(USUAL_SIDE).clamp(1, 4096) as usize;
    let channels = channels.map_or(3, |c| c as usize);
    let guess = guess_preset(model, input, layout, channels);
    let spec = InputSpec::preset(preset.unwrap_or(guess.preset), side(width), side(height), layout)?;
    Ok((InputSpec { channels, ..spec }, preset.is_none().then_some(guess)))
}

fn guess_preset(model: &OnnxModel, input: &ValueInfo, layout: Layout, channels: usize) -> Guess {
    let guess = |preset, reason| Guess { preset, reason };
    if input.kind().is_some_and(|kind| !kind.is_float()) {
        guess("raw", "its input is whole numbers")
    } else if scales_pixels(model, input.name()) {
        guess("raw", "it scales the pixels itself")
    } else if channels == 1 {
        guess("unit", "it takes one channel")
    } else if layout == Layout::ChannelsLast {
        guess("symmetric", "channels last, as most of Keras' models")
    } else {
        guess("imagenet", "what most models of torchvision and timm take")
    }
}

/// Whether the first thing that a model does is to bring numbers of 0 to 255 to about 1.
fn scales_pixels(model: &OnnxModel, input: &str) -> bool {
    let index = GraphIndex::new(model.graph());
    let takes = |tensor: &str| {
        let taken = |node: &&Node| node.input.iter().any(|i| i == tensor);
        model.graph().node.iter().find(taken)
    };
    let mut tensor = input;
    while let Some(node) = takes(tensor) {
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

/// The model's only input that is a picture.
pub fn image_input(model: &OnnxModel) -> Result<&ValueInfo> {
    let inputs: Vec<&ValueInfo> = model.graph().true_inputs().filter(|i| i.name() != grad::CLASS_INDEX).collect();
    match inputs.as_slice() {
        [only] => Ok(only),
        [] => Err(model.error("it has no input; whycam explains classifiers of one picture")),
        several => {
            let names: Vec<&str> = several.iter().map(|i| i.name()).collect();
            let count = names.len();
            Err(model.error(format!(
                "it has {count} inputs ({}); whycam explains classifiers of one picture, so export it with the others fixed",
                names.join(", ")
            )))
        }
    }
}
