//! What other tools write into their models: labels, size and preprocessing.

use super::manifest::{Colour, Fit, InputSpec, Layout};
use super::preset::Preset;
use crate::error::Result;
use crate::onnx::OnnxModel;

/// What a model's metadata say.
#[derive(Default)]
pub struct Stated {
    /// Whose metadata they are.
    pub by: &'static str,
    /// One label a class; empty where they name none.
    pub labels: Vec<String>,
    /// Height and width of the input.
    pub size: Option<[usize; 2]>,
    /// The preprocessing, for whatever size and layout.
    pub pixels: Option<InputSpec>,
}

/// Reads the metadata of Ultralytics or Windows ML; `None` without any.
///
/// # Errors
/// They say that the model is no classifier.
pub fn stated(model: &OnnxModel) -> Result<Option<Stated>> {
    Ok(ultralytics(model)?.or_else(|| windows_ml(model)))
}

/// `task`, `names` (a Python dictionary) and `imgsz` (height and width). Pictures are cropped and divided by 255
/// (<https://docs.ultralytics.com/modes/export/>, <https://docs.ultralytics.com/tasks/classify/>).
fn ultralytics(model: &OnnxModel) -> Result<Option<Stated>> {
    let Some(task) = model.metadata("task") else { return Ok(None) };
    let Some(names) = model.metadata("names") else { return Ok(None) };
    if task != "classify" {
        let problem = format!("it is an Ultralytics model for the task '{task}'; whycam explains those for 'classify'");
        return Err(model.error(problem));
    }
    let sides = model.metadata("imgsz").map(|text| text.trim_matches(['[', ']', '(', ')']).split(','));
    let sides: Vec<usize> = sides.into_iter().flatten().filter_map(|side| side.trim().parse().ok()).collect();
    let size = match sides.as_slice() {
        [side] => Some([*side, *side]),
        [height, width] => Some([*height, *width]),
        _ => None,
    };
    let pixels = InputSpec { fit: Fit::Crop, ..Preset::Unit.input(1, 1, Layout::default()) };
    Ok(Some(Stated { by: "Ultralytics", labels: dictionary(names), size, pixels: Some(pixels) }))
}

/// The values of a Python dictionary `{0: 'a', 1: "b's"}`, in order. Empty if it is none, or its keys do not count from 0.
fn dictionary(text: &str) -> Vec<String> {
    let mut values = Vec::new();
    let mut rest = text.trim().trim_start_matches('{');
    while let Some((key, after)) = rest.split_once(':') {
        let key = key.trim_matches(|c: char| c.is_whitespace() || c == ',');
        let after = after.trim_start();
        let Some(quote) = after.chars().next().filter(|c| matches!(c, '\'' | '"')) else { return Vec::new() };
        let mut value = String::new();
        let mut letters = after[1..].char_indices();
        let end = loop {
            match letters.next() {
                Some((_, '\\')) => value.extend(letters.next().map(|(_, letter)| letter)),
                Some((at, letter)) if letter == quote => break at + 2,
                Some((_, letter)) => value.push(letter),
                None => return Vec::new(),
            }
        };
        if key.parse() != Ok(values.len()) {
            return Vec::new();
        }
        values.push(value);
        rest = &after[end..];
    }
    values
}

/// `Image.BitmapPixelFormat` and `Image.NominalPixelRange`, which Custom Vision writes, too
/// (<https://github.com/onnx/onnx/blob/main/docs/MetadataProps.md>). Windows ML crops pictures to the input's aspect ratio.
fn windows_ml(model: &OnnxModel) -> Option<Stated> {
    let format = model.metadata("Image.BitmapPixelFormat");
    let range = model.metadata("Image.NominalPixelRange");
    if format.is_none() && range.is_none() {
        return None;
    }
    let colour = if format.is_some_and(|format| format.starts_with("Bgr")) { Colour::Bgr } else { Colour::Rgb };
    let raw = Preset::Raw.input(1, 1, Layout::default());
    let scaled = match range {
        Some("Normalized_0_1") => Preset::Unit.input(1, 1, Layout::default()),
        Some("Normalized_1_1") => Preset::Symmetric.input(1, 1, Layout::default()),
        Some("NominalRange_16_235") => InputSpec { scale: (235.0 - 16.0) / 255.0, mean: [-16.0; 3], ..raw },
        _ => raw,
    };
    let pixels = InputSpec { fit: Fit::Crop, colour, ..scaled };
    Some(Stated { by: "Windows ML", pixels: Some(pixels), ..Stated::default() })
}

#[cfg(test)]
mod tests {
    use super::dictionary;

    #[test]
    fn a_python_dictionary_gives_its_values() {
        assert_eq!(dictionary("{0: 'daisy', 1: \"bird's nest\", 2: 'it\\'s'}"), ["daisy", "bird's nest", "it's"]);
        assert_eq!(dictionary("{0: 'a: b, c', 1: 'd'}"), ["a: b, c", "d"]);
        assert!(dictionary("{1: 'a'}").is_empty() && dictionary("['a']").is_empty() && dictionary("").is_empty());
        assert!(dictionary("{0: 'open").is_empty());
    }
}
