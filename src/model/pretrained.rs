//! What Transformers writes next to its models: preprocessing and labels.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::manifest::{Colour, Fit, InputSpec, Layout, Resample};
use super::preset::Preset;
use super::stated::Stated;
use crate::error::{Error, Result};
use crate::files::limits;

/// The graphs that a folder in the layout of Transformers.js may have, the first that exists counts.
const GRAPHS: &[&str] = &["vision_model.onnx", "model.onnx"];

/// The file of a model of pictures. In a folder it is `vision_model.onnx` or `model.onnx`, in the folder or in `onnx/` within it
/// (<https://huggingface.co/docs/transformers.js/custom_usage>).
///
/// # Errors
/// The folder has none.
pub fn graph_file(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let folder = path;
    let paths = GRAPHS.iter().flat_map(|name| [folder.join(name), folder.join("onnx").join(name)]);
    let found = paths.into_iter().find(|path| path.is_file());
    found.ok_or_else(|| {
        Error::model(folder.display(), format!("it is a folder without {}; name the model's file", GRAPHS.join(" or ")))
    })
}

/// A file next to a model, or in the folder above where the model is in `onnx/`.
pub fn beside(model: &Path, name: &str) -> Option<PathBuf> {
    let folder = model.parent()?;
    let above = folder.parent().filter(|_| folder.file_name().is_some_and(|folder| folder == "onnx"));
    [Some(folder), above].into_iter().flatten().map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// `preprocessor_config.json`
#[derive(Deserialize)]
struct Preprocessor {
    size: Option<Value>,
    crop_size: Option<Value>,
    do_center_crop: Option<bool>,
    /// The share of the shorter side that is kept, where there is no other crop.
    crop_pct: Option<f64>,
    do_rescale: Option<bool>,
    rescale_factor: Option<f32>,
    do_normalize: Option<bool>,
    image_mean: Option<Vec<f32>>,
    image_std: Option<Vec<f32>>,
    resample: Option<i64>,
}

/// `config.json`
#[derive(Default, Deserialize)]
pub struct Config {
    pub model_type: Option<String>,
    id2label: Option<std::collections::BTreeMap<String, String>>,
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = limits::read_text(path).map_err(|e| Error::reading(path, &e))?;
    serde_json::from_str(&text).map_err(|e| Error::input(path, format!("not what Transformers writes: {e}")))
}

/// `config.json` next to a model.
///
/// # Errors
/// It cannot be read.
pub fn config(model: &Path) -> Result<Option<Config>> {
    beside(model, "config.json").map(|path| read(&path)).transpose()
}

/// Reads `preprocessor_config.json` and the labels of `config.json` next to a model; `None` without the first
/// (<https://huggingface.co/docs/transformers/main_classes/image_processor>).
///
/// # Errors
/// A file is damaged.
pub fn pretrained(model: &Path) -> Result<Option<Stated>> {
    let Some(path) = beside(model, "preprocessor_config.json") else { return Ok(None) };
    let stated: Preprocessor = read(&path)?;
    let labels = config(model)?.and_then(|config| config.id2label).map(in_order).unwrap_or_default();
    let size = stated.crop_size.as_ref().filter(|_| stated.do_center_crop == Some(true)).or(stated.size.as_ref());
    let spec = stated.pixels();
    if let Err(problem) = spec.check() {
        return Err(Error::input(path, problem));
    }
    Ok(Some(Stated {
        by: "the files of Transformers next to it",
        labels,
        size: size.and_then(sides),
        pixels: Some(spec),
        ..Stated::default()
    }))
}

impl Preprocessor {
    /// The preprocessing, for whatever size.
    fn pixels(&self) -> InputSpec {
        let three = |values: &Option<Vec<f32>>, usual: f32| match values.as_deref() {
            Some([one]) => [*one; 3],
            Some([a, b, c]) => [*a, *b, *c],
            _ => [usual; 3],
        };
        let normalised = self.do_normalize != Some(false) && self.image_mean.is_some();
        let scale = if self.do_rescale == Some(false) { 1.0 } else { self.rescale_factor.unwrap_or(1.0 / 255.0) };
        let crops = self.do_center_crop == Some(true);
        let shorter = self.size.as_ref().and_then(|size| size.get("shortest_edge").or(Some(size))?.as_f64());
        let kept = self.crop_size.as_ref().and_then(sides).map(|[height, _]| height as f64);
        let crop = shorter.zip(kept).map(|(shorter, kept)| (kept / shorter).min(1.0));
        let crop = crop.filter(|_| crops).or(self.crop_pct).filter(|crop| (0.0..=1.0).contains(crop) && *crop > 0.0);
        InputSpec {
            colour: Colour::Rgb,
            fit: if crops || crop.is_some() { Fit::Crop } else { Fit::Stretch },
            scale,
            mean: if normalised { three(&self.image_mean, 0.0) } else { [0.0; 3] },
            std: if normalised { three(&self.image_std, 1.0) } else { [1.0; 3] },
            crop: crop.unwrap_or(1.0) as f32,
            resample: if self.resample == Some(3) { Resample::Bicubic } else { Resample::Bilinear },
            ..Preset::Unit.input(1, 1, Layout::default())
        }
    }
}

/// Height and width of a size, however it is written.
fn sides(size: &Value) -> Option<[usize; 2]> {
    let number = |value: &Value| value.as_u64().and_then(|side| usize::try_from(side).ok()).filter(|side| *side > 0);
    let named = |name: &str| size.get(name).and_then(number);
    if let Some(side) = number(size).or(named("shortest_edge")) {
        return Some([side, side]);
    }
    Some([named("height")?, named("width")?])
}

/// Labels by their numbers; none where they do not count from 0, or say no more than the number.
fn in_order(labels: std::collections::BTreeMap<String, String>) -> Vec<String> {
    let numbered = labels.into_iter().filter_map(|(number, label)| Some((number.parse::<usize>().ok()?, label)));
    let mut numbered: Vec<(usize, String)> = numbered.collect();
    numbered.sort();
    let counted = numbered.iter().enumerate().all(|(at, (number, _))| at == *number);
    let named = numbered.iter().any(|(_, label)| !label.starts_with("LABEL_"));
    if counted && named { numbered.into_iter().map(|(_, label)| label).collect() } else { Vec::new() }
}
