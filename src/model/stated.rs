//! What other tools write into their models: labels, size and preprocessing.

use std::collections::BTreeMap;
use std::str::Chars;

use super::manifest::{Colour, Fit, InputSpec, Layout};
use super::preset::Preset;
use crate::error::Result;
use crate::onnx::OnnxModel;

/// What a model's metadata say.
#[derive(Default)]
pub struct Stated {
    /// Where that is written.
    pub by: &'static str,
    /// What the outputs mean.
    pub task: Option<&'static str>,
    /// One label a class; empty where they name none.
    pub labels: Vec<String>,
    /// Height and width of the input.
    pub size: Option<[usize; 2]>,
    /// The preprocessing, for whatever size and layout.
    pub pixels: Option<InputSpec>,
    /// A warning about metadata that cannot be read.
    pub notice: Option<String>,
}

/// Reads the metadata of Ultralytics or Windows ML; `None` without any.
///
/// # Errors
/// They say that the model is for a task that whycam does not know.
pub fn stated(model: &OnnxModel) -> Result<Option<Stated>> {
    Ok(ultralytics(model)?.or_else(|| windows_ml(model)))
}

/// `task`, `names` (a Python dictionary or list) and `imgsz` (height and width). Pixels are divided by 255; pictures are cropped
/// for classifiers and letterboxed for the others
/// (<https://docs.ultralytics.com/modes/export/>, <https://docs.ultralytics.com/tasks/classify/>).
fn ultralytics(model: &OnnxModel) -> Result<Option<Stated>> {
    let Some(task) = model.metadata("task") else { return Ok(None) };
    let Some(names) = model.metadata("names") else { return Ok(None) };
    let (task, pixels) = match task {
        "classify" => ("classify", InputSpec { fit: Fit::Crop, ..Preset::Unit.input(1, 1, Layout::default()) }),
        "detect" => ("detect", Preset::Yolo.input(1, 1, Layout::default())),
        "semantic" => ("segment", Preset::Yolo.input(1, 1, Layout::default())),
        _ => {
            let problem = format!("it is an Ultralytics model for the task '{task}'");
            return Err(
                model.error(format!("{problem}; whycam explains those for 'classify', 'detect' and 'semantic'"))
            );
        }
    };
    let sides = model.metadata("imgsz").map(|text| text.trim_matches(['[', ']', '(', ')']).split(','));
    let sides: Vec<usize> =
        sides.into_iter().flatten().filter_map(|side| side.trim().parse().ok()).filter(|side| *side > 0).collect();
    let size = match sides.as_slice() {
        [side] => Some([*side, *side]),
        [height, width] => Some([*height, *width]),
        _ => None,
    };
    let labels = if names.trim_start().starts_with('[') { list(names) } else { dictionary(names) };
    let unread = labels.is_empty() && !matches!(names.trim(), "" | "{}" | "[]" | "None");
    let notice = unread.then(|| {
        let form = "a dictionary from 0 on, or a list";
        format!("the names of classes in the metadata of Ultralytics are not {form}; --labels names them")
    });
    Ok(Some(Stated { by: "the metadata of Ultralytics", task: Some(task), labels, size, pixels: Some(pixels), notice }))
}

/// The values of a Python or JSON dictionary `{0: 'a', "1": "b's"}`, by their keys. Empty if it is none, or if its keys do
/// not count from 0.
fn dictionary(text: &str) -> Vec<String> {
    let mut values = BTreeMap::new();
    let mut rest = text.trim().trim_start_matches('{');
    while let Some((key, after)) = rest.split_once(':') {
        let key = key.trim_matches(|c: char| c.is_whitespace() || matches!(c, ',' | '\'' | '"'));
        let (Ok(key), Some((value, end))) = (key.parse::<usize>(), value(after.trim_start())) else {
            return Vec::new();
        };
        values.insert(key, value);
        rest = end;
    }
    if values.keys().copied().eq(0..values.len()) { values.into_values().collect() } else { Vec::new() }
}

/// The values of a Python or JSON list `['a', "b's"]`. Empty if it is none.
fn list(text: &str) -> Vec<String> {
    let mut values = Vec::new();
    let mut rest = text.trim().trim_start_matches('[');
    while let Some((value, end)) = value(rest) {
        values.push(value);
        rest = end.trim_start().trim_start_matches(',').trim_start();
    }
    if rest == "]" { values } else { Vec::new() }
}

/// A quoted text or a number at the start, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    quoted(text).or_else(|| {
        let (number, rest) = text.split_at(text.find([',', '}', ']'])?);
        let number = number.trim();
        number.parse::<f64>().is_ok().then(|| (number.to_owned(), rest))
    })
}

/// A quoted text at the start, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let (mut value, mut letters) = (String::new(), text[1..].chars());
    loop {
        match letters.next()? {
            '\\' => match letters.next()? {
                'x' => value.push(code(&mut letters, 2)?),
                'u' => value.push(code(&mut letters, 4)?),
                'n' => value.push('\n'),
                't' => value.push('\t'),
                letter => value.push(letter),
            },
            letter if letter == quote => return Some((value, letters.as_str())),
            letter => value.push(letter),
        }
    }
}

/// The character whose code is the next `digits` hexadecimal digits.
fn code(letters: &mut Chars, digits: usize) -> Option<char> {
    let number: String = letters.by_ref().take(digits).collect();
    char::from_u32(u32::from_str_radix(&number, 16).ok()?)
}

/// `Image.BitmapPixelFormat` and `Image.NominalPixelRange`, which Custom Vision writes, too
/// (<https://github.com/onnx/onnx/blob/main/docs/MetadataProps.md>). Windows ML crops pictures to the input's aspect ratio.
fn windows_ml(model: &OnnxModel) -> Option<Stated> {
    let lower = |key: &str| model.metadata(key).map(str::to_lowercase);
    let format = lower("Image.BitmapPixelFormat");
    let range = lower("Image.NominalPixelRange");
    let colour = match format.as_deref() {
        Some("bgr8" | "bgra8") => Colour::Bgr,
        Some("rgb8" | "rgba8" | "gray8") => Colour::Rgb,
        None if range.is_some() => Colour::Rgb,
        // Unknown formats say nothing.
        _ => return None,
    };
    let raw = Preset::Raw.input(1, 1, Layout::default());
    let scaled = match range.as_deref() {
        Some("normalized_0_1") => Preset::Unit.input(1, 1, Layout::default()),
        Some("normalized_1_1") => Preset::Symmetric.input(1, 1, Layout::default()),
        Some("nominalrange_16_235") => InputSpec { scale: (235.0 - 16.0) / 255.0, mean: [-16.0; 3], ..raw },
        None | Some("nominalrange_0_255") => raw,
        Some(_) => return None,
    };
    let pixels = InputSpec { fit: Fit::Crop, colour, ..scaled };
    Some(Stated { by: "the metadata of Windows ML", pixels: Some(pixels), ..Stated::default() })
}

#[cfg(test)]
mod tests {
    use super::{dictionary, list};

    #[test]
    fn a_list_gives_its_values() {
        assert_eq!(list("['daisy', \"bird's nest\"]"), ["daisy", "bird's nest"]);
        assert_eq!(list("['a', 3]"), ["a", "3"]);
        assert!(list("[]").is_empty() && list("['open").is_empty() && list("['a', b]").is_empty());
    }

    #[test]
    fn a_python_dictionary_gives_its_values() {
        assert_eq!(dictionary("{0: 'daisy', 1: \"bird's nest\", 2: 'it\\'s'}"), ["daisy", "bird's nest", "it's"]);
        assert_eq!(dictionary("{0: 'a: b, c', 1: 'd'}"), ["a: b, c", "d"]);
        assert_eq!(dictionary(r#"{"1": "b", "0": "caf\u00e9"}"#), ["café", "b"]);
        assert_eq!(dictionary("{0: 0, 1: 7.5}"), ["0", "7.5"]);
        assert!(dictionary("{1: 'a'}").is_empty() && dictionary("['a']").is_empty() && dictionary("").is_empty());
        assert!(dictionary("{0: 'open").is_empty());
    }
}
