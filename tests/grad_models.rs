//! Whole nets of many families: whycam finds the layer by itself, and activations, gradient and map
//! are those of PyTorch's autograd and pytorch-grad-cam, there and at an early layer.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ndarray::{Array1, Array2, Array4, ArrayViewD, s};
use serde::Deserialize;
use whycam::grad::{CLASS_INDEX, Explained};
use whycam::session::{Input, Session};
use whycam::{Explainer, ExplainerOptions, prepare};

fn reference(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/models").join(name)
}

/// One export of a net, as models.json lists it.
#[derive(Deserialize)]
struct Export {
    name: String,
    file: String,
    /// Of the picture, in pixels.
    size: usize,
    /// The tensor of the early layer.
    early: String,
    /// Whether the picture is `[N,h,w,C]`.
    #[serde(default)]
    channels_last: bool,
    /// The largest error, as a share of the largest value.
    #[serde(default = "usual_tolerance")]
    tolerance: f32,
}

fn usual_tolerance() -> f32 {
    2e-3
}

fn exports() -> Vec<Export> {
    let text = std::fs::read_to_string(reference("models.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn maps_of_every_family_are_those_of_autograd() {
    let exports = exports();
    let families: BTreeSet<&str> = exports.iter().map(|e| e.name.as_str()).collect();
    assert!(families.len() >= 39, "{} families", families.len());
    let picture: Array4<u8> = ndarray_npy::read_npy(reference("input.npy")).unwrap();
    let picture = picture.mapv(|level| f32::from(level) / 255.0);
    let mut failures = Vec::new();
    for export in &exports {
        let corner = picture.slice(s![.., .., ..export.size, ..export.size]);
        let corner = if export.channels_last { corner.permuted_axes([0, 2, 3, 1]) } else { corner };
        let corner = corner.as_standard_layout().into_owned();
        for (which, layer) in [("default", None), ("early", Some(export.early.as_str()))] {
            if let Err(problem) = check(export, which, layer, &corner) {
                failures.push(format!("{}, {which}: {problem}", export.file));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), 2 * exports.len(), failures.join("\n"));
}

fn check(export: &Export, which: &str, layer: Option<&str>, picture: &Array4<f32>) -> Result<(), String> {
    let text = |e: whycam::Error| e.to_string();
    let expected: Array4<f32> =
        ndarray_npy::read_npy(reference(&format!("{}.{which}.npy", export.name))).map_err(|e| e.to_string())?;
    let options = ExplainerOptions {
        model: Some(reference(&export.file).display().to_string()),
        layer: layer.map(str::to_owned),
        compute: whycam::Compute::on_threads(1),
        ..ExplainerOptions::default()
    };
    let mut prepared = prepare(&options).map_err(text)?;
    prepared.model.take_float32(&prepared.input);
    let mut session = Session::new(&prepared.model, whycam::Compute::on_threads(1)).map_err(text)?;
    let predicted = Array1::from_elem(1, -1).into_dyn();
    let inputs = vec![
        (prepared.input.as_str(), Input::Float(picture.view().into_dyn())),
        (CLASS_INDEX, Input::Int64(predicted.view())),
    ];
    let outputs = session.run(inputs).map_err(text)?;
    let activations = outputs.floats(Explained::NAMES.activations).map_err(text)?;
    let near = |what, found, expected| alike(what, found, expected, export.tolerance);
    let [values, slopes] = [0, 1].map(|at| expected.index_axis(ndarray::Axis(0), at).into_dyn());
    near("activations", activations, values).map_err(|e| format!("{e} at {}", prepared.layer))?;
    let gradients = outputs.floats(Explained::NAMES.gradients).map_err(text)?;
    near("gradients", gradients, slopes)?;

    let explanation = Explainer::new(&options).and_then(|mut e| e.explain_tensor(picture.view().into_dyn()));
    let map: Array2<f32> =
        ndarray_npy::read_npy(reference(&format!("{}.{which}.map.npy", export.name))).map_err(|e| e.to_string())?;
    let found = explanation.map_err(text)?.map;
    if found.evidence != map.iter().any(|&v| v > 0.0) {
        return Err(format!("evidence {}", found.evidence));
    }
    if !found.evidence {
        return Ok(());
    }
    near("map", found.values.view().into_dyn(), map.view().into_dyn())
}

/// Cosine above 0.9999, and no value further off than a share of the largest.
fn alike(what: &str, found: ArrayViewD<f32>, expected: ArrayViewD<f32>, tolerance: f32) -> Result<(), String> {
    if found.len() != expected.len() {
        return Err(format!("{what} {:?}, not {:?}", found.shape(), expected.shape()));
    }
    let largest = expected.iter().fold(0.0, |m: f32, v| m.max(v.abs()));
    let apart = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let dot: f32 = found.iter().zip(&expected).map(|(a, b)| a * b).sum();
    let squares = |sum: f32, v: &f32| sum + v * v;
    let cosine = dot / (found.iter().fold(0.0, squares) * expected.iter().fold(0.0, squares)).sqrt();
    if largest > 0.0 && cosine > 0.9999 && apart < tolerance * largest {
        return Ok(());
    }
    Err(format!("{what}: cosine {cosine}, {apart} apart of {largest}"))
}
