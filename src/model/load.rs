//! Step 1: a model's file, with its manifest, its metadata, or a guess of its preprocessing.

use std::path::Path;

use super::class_names::take_class_names;
use super::embedded::EMBEDDED;
use super::manifest::{InputSpec, Layout, Manifest};
use super::metadata::Contract;
use super::options::{ModelOptions, ModelSource, Randomised};
use super::preset::Preset;
use super::stated::{Stated, stated};
use crate::error::{Error, Result};
use crate::files::limits;
use crate::grad;
use crate::onnx::proto::{Node, ValueInfo};
use crate::onnx::{DataType, GraphIndex, OnnxModel};

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
    /// Whether nothing states the size of the input.
    pub size_open: bool,
    /// What a user should know of how the model was read.
    pub notices: Vec<String>,
}

/// Reads a model.
///
/// # Errors
/// The file is absent, not an ONNX model, or takes something other than a picture.
pub fn load(options: &ModelOptions) -> Result<LoadedModel> {
    let mut loaded = match &options.model {
        ModelSource::Embedded(embedded) => {
            let (model, manifest) = embedded.load()?;
            LoadedModel::described(model, manifest)
        }
        ModelSource::File(path) => load_file(path, options.preset)?,
    };
    if let Some(path) = &options.labels {
        let text = limits::read_text(path).map_err(|e| Error::reading(path, &e))?;
        // Editors leave a byte order mark before the first line, and empty lines after the last one.
        let lines = text.trim_start_matches('\u{feff}').trim_end().lines();
        loaded.manifest.labels = lines.map(|line| line.trim_end().to_owned()).collect();
    }
    if let Some(output) = &options.output {
        loaded.manifest.output = Some(output.clone());
    }
    if let Some((width, height)) = options.input_size {
        (loaded.manifest.input.width, loaded.manifest.input.height) = (width as usize, height as usize);
        loaded.size_open = false;
    }
    if loaded.size_open {
        let InputSpec { width, height, .. } = loaded.manifest.input;
        let problem = "the model leaves the size of its input open";
        loaded.notices.push(format!("{problem}; pictures are resized to {width}x{height}; --input-size chooses"));
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
    let mut model = OnnxModel::read(path)?;
    let contract = Contract::read(&model)?;
    let manifest = path.with_extension("toml");
    if preset.is_none() && manifest.exists() {
        take_class_names(&mut model);
        return Ok(LoadedModel { contract, ..LoadedModel::described(model, Manifest::read(&manifest)?) });
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let bare = |input: InputSpec, labels: Vec<String>| Manifest {
        name,
        description: String::new(),
        labels,
        layer: None,
        output: None,
        licence: String::new(),
        sha256: String::new(),
        input,
        known: contract.as_ref().and_then(|contract| contract.known.clone()),
        accuracy: None,
    };
    if let Some(contract) = &contract {
        let input = match preset {
            None => contract.preprocessing.clone(),
            Some(_) => bare_input(&model, preset, &Stated::default())?.spec,
        };
        let manifest = bare(input, contract.labels.clone());
        return Ok(LoadedModel { contract: Some(contract.clone()), ..LoadedModel::described(model, manifest) });
    }
    let stated = stated(&model)?.unwrap_or_default();
    let of_graph = take_class_names(&mut model);
    let mut notices = Vec::new();
    let labels = if of_graph.is_empty() { stated.labels.clone() } else { of_graph.clone() };
    if !labels.is_empty() {
        let place = if of_graph.is_empty() { format!("the metadata of {}", stated.by) } else { "the graph".to_owned() };
        notices.push(format!("labels are read from {place}; --labels chooses"));
    }
    let Bare { spec, guess, size_open } = bare_input(&model, preset, &stated)?;
    if stated.pixels.is_some() && preset.is_none() {
        notices.push(format!("pictures are preprocessed as the metadata of {} say; --preset chooses", stated.by));
    }
    let manifest = bare(spec, labels);
    Ok(LoadedModel { model, manifest, guess, contract: None, size_open, notices })
}

impl LoadedModel {
    /// A model that its manifest describes.
    fn described(model: OnnxModel, manifest: Manifest) -> Self {
        Self { model, manifest, guess: None, contract: None, size_open: false, notices: Vec::new() }
    }
}

/// The input of a model without a manifest.
struct Bare {
    spec: InputSpec,
    guess: Option<Guess>,
    size_open: bool,
}

/// The input of an ONNX file without a manifest: size, layout and channels from the graph, the rest from a preset, what
/// other tools stated, or a guess.
fn bare_input(model: &OnnxModel, preset: Option<Preset>, stated: &Stated) -> Result<Bare> {
    const USUAL_SIDE: usize = 224;
    let input = image_input(model)?;
    let dims = input.dims().unwrap_or_else(|| vec![None; 4]);
    let picture = |channels: Option<i64>| matches!(channels, Some(1 | 3));
    let convolved = first_convolution(model, input.name()).filter(|(channels, _)| picture(Some(*channels)));
    let (layout, channels, height, width) = match dims.as_slice() {
        [_, c, h, w] if picture(*c) => (Layout::ChannelsFirst, *c, h, w),
        [_, h, w, c] if picture(*c) => (Layout::ChannelsLast, *c, h, w),
        // Without a number of channels, the first convolution tells, or else it is the form that most exporters write.
        [_, first, second, last] if first.is_none() || last.is_none() => match convolved {
            Some((channels, Layout::ChannelsLast)) => (Layout::ChannelsLast, Some(channels), first, second),
            Some((channels, layout)) => (layout, Some(channels), second, last),
            None => (Layout::ChannelsFirst, Some(3), second, last),
        },
        _ => {
            let (name, shape) = (input.name(), input.dims_text());
            return Err(model.error(format!(
                "its input {name} [{shape}] is no picture; whycam explains classifiers of [N,C,h,w] or [N,h,w,C] with \
                 1 or 3 channels"
            )));
        }
    };
    let fixed = |side: &Option<i64>| side.map(|side| side.clamp(1, 4096) as usize);
    let [height, width] = [(fixed(height), 0), (fixed(width), 1)].map(|(fixed, axis)| {
        let open = fixed.is_none();
        let side = fixed.or_else(|| Some(stated.size?[axis].clamp(1, 4096)));
        (side.unwrap_or(USUAL_SIDE), open && side.is_none())
    });
    let size_open = height.1 || width.1;
    let (height, width, channels) = (height.0, width.0, channels.map_or(3, |c| c as usize));
    let guess = guess_preset(model, input, layout, channels, height.max(width));
    let spec = match (preset, &stated.pixels) {
        (Some(preset), _) => preset.input(width, height, layout),
        (None, Some(pixels)) => InputSpec { width, height, layout, ..pixels.clone() },
        (None, None) => guess.preset.input(width, height, layout),
    };
    let guess = (preset.is_none() && stated.pixels.is_none()).then_some(guess);
    // Signed bytes hold pixels less 128.
    let signed = guess.is_some() && input.kind() == Some(DataType::Int8);
    let spec = if signed { InputSpec { mean: [128.0; 3], ..spec } } else { spec };
    Ok(Bare { spec: InputSpec { channels, ..spec }, guess, size_open })
}

fn guess_preset(model: &OnnxModel, input: &ValueInfo, layout: Layout, channels: usize, side: usize) -> Guess {
    /// Inputs up to this side are those of CIFAR, digits and small faces, whose nets take pixels / 255.
    const SMALL: usize = 64;
    /// Keras nets of more classes are those of `keras.applications`.
    const FEW_CLASSES: i64 = 100;
    let guess = |preset, reason| Guess { preset, reason };
    let classes = model.graph().output.iter().filter_map(|output| output.dims()?.last().copied().flatten());
    let few_classes = classes.max().is_some_and(|classes| classes <= FEW_CLASSES);
    if input.kind().is_some_and(|kind| !kind.is_float()) {
        let signed = input.kind() == Some(DataType::Int8);
        guess(
            Preset::Raw,
            if signed { "less 128, since its input is signed bytes" } else { "its input is whole numbers" },
        )
    } else if let Some((preset, reason)) = first_scaling(model, input.name()) {
        guess(preset, reason)
    } else if channels == 1 {
        guess(Preset::Unit, "it takes one channel")
    } else if side <= SMALL {
        guess(Preset::Unit, "its input is small")
    } else if layout == Layout::ChannelsLast && few_classes {
        guess(Preset::Unit, "channels last and few classes, as most Keras models trained at home")
    } else if layout == Layout::ChannelsLast {
        guess(Preset::Symmetric, "channels last, as most Keras models")
    } else {
        guess(Preset::ImageNet, "the preprocessing of most torchvision and timm models")
    }
}

/// What the first op of a model that is no change of type or layout shows of the pixels that it takes.
fn first_scaling(model: &OnnxModel, input: &str) -> Option<(Preset, &'static str)> {
    const SCALES: (Preset, &str) = (Preset::Raw, "it scales the pixels itself");
    const NORMALISES: (Preset, &str) = (Preset::Unit, "it takes mean and deviation off itself");
    let index = GraphIndex::new(model.graph());
    let (node, _) = first_op(model, input)?;
    let factor = node.input.iter().find_map(|i| index.constant(i)?.first_f32())?.abs();
    match node.op() {
        "Mul" if factor < 0.05 => Some(SCALES),
        "Div" if factor > 20.0 => Some(SCALES),
        "Sub" | "Add" if factor > 10.0 => Some(SCALES),
        // ImageNet's means, or one half.
        "Sub" | "Add" if (0.3..0.7).contains(&factor) => Some(NORMALISES),
        // ImageNet's deviations, or one half; and their reciprocals.
        "Div" if (0.15..0.6).contains(&factor) => Some(NORMALISES),
        "Mul" if (1.9..6.0).contains(&factor) => Some(NORMALISES),
        _ => None,
    }
}

/// The first node behind the input that is no change of type, and whether channels were moved to the front on the way.
fn first_op<'m>(model: &'m OnnxModel, input: &'m str) -> Option<(&'m Node, bool)> {
    let (mut tensor, mut channels_last) = (input, false);
    loop {
        let reads = |node: &&Node| node.input.iter().any(|i| i == tensor);
        let node = model.graph().node.iter().find(reads)?;
        channels_last |= node.op() == "Transpose" && node.ints("perm") == Some(&[0, 3, 1, 2]);
        if !matches!(node.op(), "Cast" | "Identity" | "Transpose" | "QuantizeLinear" | "DequantizeLinear") {
            return Some((node, channels_last));
        }
        tensor = node.output.first()?;
    }
}

/// The channels that the first convolution takes, and whether the input has them last.
fn first_convolution(model: &OnnxModel, input: &str) -> Option<(i64, Layout)> {
    const NEAREST: usize = 8;
    let index = GraphIndex::new(model.graph());
    let (mut tensor, mut layout) = (input, Layout::ChannelsFirst);
    for _ in 0..NEAREST {
        let (node, moved) = first_op(model, tensor)?;
        if moved {
            layout = Layout::ChannelsLast;
        }
        if node.op() == "Conv" {
            let weights = index.constant(node.input.get(1)?)?;
            return Some((weights.dims.get(1)? * node.int("group").unwrap_or(1), layout));
        }
        tensor = node.output.first()?;
    }
    None
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
