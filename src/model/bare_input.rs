//! The input of a model without a manifest: from its graph, from what other tools stated, or by a guess.

use std::fmt::Display;

use super::inputs::image_input;
use super::manifest::{InputSpec, Layout};
use super::preset::Preset;
use super::stated::Stated;
use crate::error::Result;
use crate::files::limits;
use crate::onnx::proto::{Node, ValueInfo};
use crate::onnx::{DataType, GraphIndex, OnnxModel};

/// The preprocessing that was guessed for an ONNX file, and why.
#[derive(Clone, Copy, Debug)]
pub struct Guess {
    pub preset: Preset,
    pub reason: &'static str,
    /// Whether the graph shows how pixels are scaled.
    pub of_graph: bool,
}

impl Guess {
    /// What a user should know of it.
    pub fn notice(&self) -> String {
        guess_notice(self.preset, self.reason)
    }
}

/// What a user should know of a guessed preset.
pub fn guess_notice(preset: Preset, reason: impl Display) -> String {
    format!("pictures are preprocessed as '{preset}' ({reason}); --preset chooses")
}

/// The input of a model without a manifest.
pub struct Bare {
    pub spec: InputSpec,
    /// The guessed preprocessing, where nothing states it.
    pub guess: Option<Guess>,
    /// Why pixels are not scaled as stated, where the graph shows that they must not be.
    pub unscaled: Option<&'static str>,
    /// Whether nothing states its size.
    pub size_open: bool,
}

/// The input of an ONNX file without a manifest: size, layout and channels from the graph, the rest from a preset, what
/// other tools stated, or a guess.
///
/// # Errors
/// The model takes something other than a picture.
pub fn bare_input(model: &OnnxModel, preset: Option<Preset>, stated: &Stated) -> Result<Bare> {
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
    let fixed = |side: &Option<i64>| side.map(|side| side.clamp(1, limits::LONGEST_SIDE as i64) as usize);
    let [height, width] = [(fixed(height), 0), (fixed(width), 1)].map(|(fixed, axis)| {
        let open = fixed.is_none();
        let side = fixed.or_else(|| Some(stated.size?[axis].clamp(1, limits::LONGEST_SIDE)));
        (side.unwrap_or(USUAL_SIDE), open && side.is_none())
    });
    let size_open = height.1 || width.1;
    let (height, width, channels) = (height.0, width.0, channels.map_or(3, |c| c as usize));
    let guess = guess_preset(model, input, layout, channels, height.max(width));
    let of_graph = guess.of_graph && guess.preset == Preset::Raw && preset.is_none();
    let stated_scale = stated.pixels.as_ref().filter(|pixels| of_graph && pixels.scale < 0.5);
    let unscaled = stated_scale.map(|_| guess.reason);
    let spec = match (preset, &stated.pixels) {
        (Some(preset), _) => preset.input(width, height, layout),
        (None, Some(pixels)) if unscaled.is_some() => {
            let InputSpec { scale, mean, std, .. } = guess.preset.input(width, height, layout);
            InputSpec { width, height, layout, scale, mean, std, ..pixels.clone() }
        }
        (None, Some(pixels)) => InputSpec { width, height, layout, ..pixels.clone() },
        (None, None) => guess.preset.input(width, height, layout),
    };
    let guess = (preset.is_none() && stated.pixels.is_none()).then_some(guess);
    // Signed bytes hold pixels less 128.
    let signed = (guess.is_some() || unscaled.is_some()) && input.kind() == Some(DataType::Int8);
    let spec = if signed { InputSpec { mean: [128.0; 3], ..spec } } else { spec };
    Ok(Bare { spec: InputSpec { channels, ..spec }, guess, unscaled, size_open })
}

fn guess_preset(model: &OnnxModel, input: &ValueInfo, layout: Layout, channels: usize, side: usize) -> Guess {
    /// Inputs up to this side are those of CIFAR, digits and small faces, whose nets take pixels / 255.
    const SMALL: usize = 64;
    /// Keras nets of more classes are those of `keras.applications`.
    const FEW_CLASSES: i64 = 100;
    let guess = |preset, reason| Guess { preset, reason, of_graph: false };
    let shown = |preset, reason| Guess { preset, reason, of_graph: true };
    let classes = model.graph().output.iter().filter_map(|output| output.dims()?.last().copied().flatten());
    let few_classes = classes.max().is_some_and(|classes| classes <= FEW_CLASSES);
    if input.kind().is_some_and(|kind| !kind.is_float()) {
        let signed = input.kind() == Some(DataType::Int8);
        shown(
            Preset::Raw,
            if signed { "less 128, since its input is signed bytes" } else { "its input is whole numbers" },
        )
    } else if let Some((preset, reason)) = first_scaling(model, input.name()) {
        shown(preset, reason)
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

/// The first node after the input that is no change of type, and whether channels were moved to the front on the way.
fn first_op<'m>(model: &'m OnnxModel, input: &'m str) -> Option<(&'m Node, bool)> {
    let (mut tensor, mut channels_last) = (input, false);
    // In a broken file this chain of nodes may lead back to itself.
    for _ in &model.graph().node {
        let reads = |node: &&Node| node.input.iter().any(|i| i == tensor);
        let node = model.graph().node.iter().find(reads)?;
        channels_last |= node.op() == "Transpose" && node.ints("perm") == Some(&[0, 3, 1, 2]);
        if !matches!(node.op(), "Cast" | "Identity" | "Transpose" | "QuantizeLinear" | "DequantizeLinear") {
            return Some((node, channels_last));
        }
        tensor = node.output.first().filter(|output| !output.is_empty())?;
    }
    None
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
