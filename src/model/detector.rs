//! Recognising a detector, and giving it the outputs that all detectors have.

use std::cell::RefCell;
use std::collections::HashMap;

use ndarray::ArrayD;

use super::bare_input::guess_notice;
use super::label_sets::{fitted, usual_labels};
use super::load::LoadedModel;
use super::manifest::InputSpec;
use super::preset::Preset;
use super::typed::TypedModel;
use crate::error::Result;
use crate::grad::{Detection, Family, FoundDetector, Hints, InRows, find_detector, is_background};
use crate::onnx::{OnnxModel, Tensors};
use crate::session;

/// Recognises a detector, writes its detections in the one form, and guesses the preprocessing of its family and labels
/// where nothing states them. `None` for a model that is no detector of a known layout. Returns also what a user should
/// know of it.
///
/// # Errors
/// It is a detector of a form that whycam cannot read.
pub fn find_detection(typed: &mut TypedModel) -> Result<Option<(Detection, Vec<String>)>> {
    let TypedModel { loaded: LoadedModel { model, manifest, guess, .. }, input, tensors } = typed;
    let InputSpec { width, height, .. } = manifest.input;
    let shape = tensors[input.as_str()].shape.clone();
    let find = |model: &OnnxModel, tensors: &Tensors| {
        // Several questions are asked of the same run.
        let samples = RefCell::new(HashMap::new());
        let sample = |tensor: &str| {
            if let Some(known) = samples.borrow().get(tensor) {
                return Ok(ArrayD::clone(known));
            }
            let values = session::sample(model, input, &shape, tensor)?;
            samples.borrow_mut().insert(tensor.to_owned(), values.clone());
            Ok(values)
        };
        let hints = Hints {
            output: manifest.output.as_deref(),
            labels: &manifest.labels,
            reading: manifest.reading(),
            input: [height, width],
            sample: &sample,
        };
        find_detector(model, tensors, &hints)
    };
    let mut found = find(model, tensors)?;
    let mut in_rows = None;
    if found.is_none()
        && let Some(mut rows) = InRows::of(model, tensors)
    {
        let tensors = session::probe(&mut rows.model, &[(input.as_str(), shape.clone())])?;
        found = find(&rows.model, &tensors)?;
        in_rows = Some(rows);
    }
    let Some(FoundDetector { detection, patch, family, mut notices }) = found else { return Ok(None) };
    match in_rows {
        Some(mut rows) => {
            patch.apply(&mut rows.model);
            *model = rows.restored();
        }
        None => patch.apply(model),
    }
    *tensors = session::probe(model, &[(input.as_str(), shape)])?;
    // A notice, unlike a guess, is kept with the augmented model.
    if let Some(guess) = guess.take() {
        let (preset, reason) = Preset::of_family(family);
        let InputSpec { channels, layout, scale, mean, std, .. } = manifest.input;
        manifest.input = InputSpec { channels, ..preset.input(width, height, layout) };
        let mut levels = String::new();
        if guess.of_graph {
            manifest.input = InputSpec { scale, mean, std, ..manifest.input.clone() };
            levels = format!("), their levels as '{}' ({}", guess.preset, guess.reason);
        }
        notices.push(guess_notice(preset, format_args!("{reason}{levels}")));
    }
    if let Some(asked) = manifest.background
        && detection.background != Some(asked.entry(detection.classes + 1))
    {
        let problem =
            "no class of it stands for \"no object\": its scores are no softmax, or it chooses its boxes itself";
        return Err(model.error(format!("{problem}; leave out --background {}", asked.name())));
    }
    notices.extend(fit_labels(&mut manifest.labels, &detection, family));
    Ok(Some((detection, notices)))
}

/// Leaves out the label of what is no object, and takes the usual labels where there are none. Returns the guess.
fn fit_labels(labels: &mut Vec<String>, detection: &Detection, family: Family) -> Option<String> {
    let classes = detection.classes;
    if let Some(background) = detection.background
        && labels.len() == classes + 1
        && is_background(&labels[background])
    {
        labels.remove(background);
    }
    if labels.is_empty() && classes == 1 && matches!(family, Family::UltraFace | Family::BlazeFace) {
        *labels = vec!["face".into()];
    } else if labels.is_empty() {
        *labels = usual_labels(classes)?;
        return Some(format!("its {classes} classes are taken for those of COCO; --labels names others"));
    } else if labels.len() != classes
        && let Some(fitted) = fitted(labels, classes)
    {
        *labels = fitted;
    }
    None
}
