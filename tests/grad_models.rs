//! Whole nets of many families: whycam finds the layer, and activations, gradient and map
//! are those of PyTorch's autograd and pytorch-grad-cam, there and at an early layer.

use std::collections::BTreeSet;

use ndarray::{Array1, Array2, Array4, ArrayViewD, s};
use serde::Deserialize;
use whycam::grad::{ACTIVATIONS, CLASS_INDEX, GRADIENTS};
use whycam::session::{Input, Session};
use whycam::{Compute, Explainer, LayerName, ModelOptions, Request, cam, model};

use crate::support::maps::{self, Nearness, Tolerance};
use crate::support::reference;

/// One export of a net, as models.json lists it.
#[derive(Deserialize)]
struct Export {
    name: String,
    file: String,
    /// The side of the picture, in pixels.
    size: usize,
    /// The tensor of the early layer.
    early: String,
    /// Whether the picture is `[N,h,w,C]`.
    #[serde(default)]
    channels_last: bool,
    /// The largest error, as a share of the largest value.
    #[serde(default = "usual_tolerance")]
    tolerance: f64,
}

fn usual_tolerance() -> f64 {
    2e-3
}

fn exports() -> Vec<Export> {
    let text = std::fs::read_to_string(reference("models/models.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn maps_of_every_family_are_those_of_autograd() {
    let exports = exports();
    let families: BTreeSet<&str> = exports.iter().map(|e| e.name.as_str()).collect();
    assert!(families.len() >= 39, "{} families", families.len());
    let picture: Array4<u8> = ndarray_npy::read_npy(reference("models/input.npy")).unwrap();
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
        ndarray_npy::read_npy(reference(&format!("models/{}.{which}.npy", export.name))).map_err(|e| e.to_string())?;
    let mut options = ModelOptions::default();
    options.model = reference("models").join(&export.file).into();
    options.compute = Compute::on_threads(1);
    let mut request = Request::default();
    // Vision transformers have another default.
    request.method = Some(cam::find("grad-cam").map_err(text)?);
    request.layers = layer.map(LayerName::from).into_iter().collect();
    let mut augmented = model::augmented(&options, &request, false, &mut None).map_err(text)?;
    augmented.model.take_float32(&augmented.input);
    let mut session = Session::new(&augmented.model, options.compute).map_err(text)?;
    let predicted = Array1::from_elem(1, -1).into_dyn();
    let inputs = vec![
        (augmented.input.as_str(), Input::Float(picture.view().into_dyn())),
        (CLASS_INDEX, Input::Int64(predicted.view())),
    ];
    let outputs = session.run(inputs).map_err(text)?;
    let activations = outputs.floats(ACTIVATIONS).map_err(text)?;
    let tolerance = Tolerance { cosine: 0.9999, difference: export.tolerance };
    let [values, slopes] = [0, 1].map(|at| expected.index_axis(ndarray::Axis(0), at).into_dyn());
    alike("activations", activations, values, tolerance).map_err(|e| format!("{e} at {}", augmented.contract.layer))?;
    let gradients = outputs.floats(GRADIENTS).map_err(text)?;
    alike("gradients", gradients, slopes, tolerance)?;

    let explanation = Explainer::new(&options, &request).and_then(|mut e| e.explain_tensor(picture.view().into_dyn()));
    let map: Array2<f32> = ndarray_npy::read_npy(reference(&format!("models/{}.{which}.map.npy", export.name)))
        .map_err(|e| e.to_string())?;
    let found = explanation.map_err(text)?.map;
    if found.evidence != map.iter().any(|&v| v > 0.0) {
        return Err(format!("evidence {}", found.evidence));
    }
    if !found.evidence {
        return Ok(());
    }
    maps::compare(&found.values, &map, tolerance, &format!("map {} {which}", export.file))
}

/// An error unless the arrays lie within the tolerance of each other.
fn alike(what: &str, found: ArrayViewD<f32>, expected: ArrayViewD<f32>, tolerance: Tolerance) -> Result<(), String> {
    if found.len() != expected.len() {
        return Err(format!("{what} {:?}, not {:?}", found.shape(), expected.shape()));
    }
    let nearness = Nearness::of(found, expected);
    let near = nearness.largest > 0.0 && nearness.is_within(tolerance);
    if near { Ok(()) } else { Err(format!("{what}: {nearness}")) }
}
