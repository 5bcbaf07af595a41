//! Detectors of many families: boxes, scores and labels are those of the models' own post-processing (torchvision,
//! transformers), and the gradient of a detection is that of PyTorch's autograd.

use std::collections::HashMap;

use ndarray::{Array2, Array4, ArrayD, Axis, Ix2, s};
use serde::Deserialize;
use whycam::grad::{ACTIVATIONS, Detection, FieldGeometry, GRADIENTS, names_of_layer};
use whycam::onnx::OnnxModel;
use whycam::onnx::proto::ValueInfo;
use whycam::session::{Input, Session};
use whycam::{Compute, DetectedObject, Explainer, Explanation, LayerName, ModelOptions, Preset, Request, cam, model};

use crate::support::maps::{self, Nearness, Tolerance};
use crate::support::reference;

/// A detector, as detectors.json lists it.
#[derive(Deserialize)]
struct Family {
    name: String,
    file: String,
    width: usize,
    height: usize,
    threshold: f32,
    overlap: Option<f32>,
    detections: Vec<Expected>,
    layers: HashMap<String, String>,
    tolerance: f64,
}

#[derive(Deserialize)]
struct Expected {
    class_index: usize,
    score: f32,
    logit: f32,
    #[serde(rename = "box")]
    bounds: [f64; 4],
}

impl Family {
    fn all() -> Vec<Self> {
        let text = std::fs::read_to_string(reference("detectors/detectors.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn options(&self) -> ModelOptions {
        let mut options = ModelOptions::default();
        options.model = reference("detectors").join(&self.file).into();
        options.preset = Some(Preset::Unit);
        options.compute = Compute::on_threads(1);
        options
    }

    fn request(&self) -> Request {
        let mut request = Request::default();
        request.detections.threshold = self.threshold;
        request.detections.overlap = self.overlap.unwrap_or(request.detections.overlap);
        request
    }

    fn explain(&self, request: &Request) -> whycam::Result<Explanation> {
        Explainer::new(&self.options(), request)?.explain_tensor(picture(self).view().into_dyn())
    }

    /// Activations and gradient at a layer, as autograd gives them: `[2,C,h,w]`.
    fn expected(&self, layer: &str) -> Array4<f32> {
        ndarray_npy::read_npy(reference(&format!("detectors/{}.{layer}.npy", self.name))).unwrap()
    }
}

fn picture(of: &Family) -> Array4<f32> {
    let whole: Array4<u8> = ndarray_npy::read_npy(reference("detectors/input.npy")).unwrap();
    let corner = whole.slice(s![.., .., ..of.height, ..of.width]);
    corner.mapv(|level| f32::from(level) / 255.0)
}

/// Runs a check on every family and reports all failures at once.
fn on_every_family(check: impl Fn(&Family) -> Result<(), String>) {
    let all = Family::all();
    assert!(all.len() >= 20, "{} families", all.len());
    let failures: Vec<String> =
        all.iter().filter_map(|of| check(of).err().map(|problem| format!("{}: {problem}", of.name))).collect();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), all.len(), failures.join("\n"));
}

fn text(error: whycam::Error) -> String {
    error.to_string()
}

#[test]
fn boxes_scores_and_labels_are_those_of_the_models_own_post_processing() {
    on_every_family(|of| {
        let explanation = of.explain(&of.request()).map_err(text)?;
        let found = &explanation.detections().ok_or("not a detector")?.detections;
        if found.len() != of.detections.len() {
            return Err(format!("{} detections, not {}", found.len(), of.detections.len()));
        }
        for (at, (found, expected)) in found.iter().zip(&of.detections).enumerate() {
            agree(found, expected).map_err(|problem| format!("detection {at}: {problem}"))?;
        }
        Ok(())
    });
}

fn agree(found: &DetectedObject, expected: &Expected) -> Result<(), String> {
    let bounds =
        [found.bounds.x, found.bounds.y, found.bounds.x + found.bounds.width, found.bounds.y + found.bounds.height];
    // Boxes lie within 1e-3 of the sides of the picture, which are about 100 pixels.
    let near = bounds.iter().zip(expected.bounds).all(|(a, b)| (a - b).abs() < 0.05);
    let scores = (found.probability - expected.score).abs() < 1e-3 && (found.logit - expected.logit).abs() < 1e-3;
    if near && scores && found.class_index == expected.class_index {
        return Ok(());
    }
    let (class, score, logit) = (found.class_index, found.probability, found.logit);
    Err(format!(
        "class {class}, score {score}, logit {logit}, box {bounds:?}; expected class {}, score {}, logit {}, box {:?}",
        expected.class_index, expected.score, expected.logit, expected.bounds
    ))
}

#[test]
fn the_gradient_of_a_detection_is_that_of_autograd() {
    on_every_family(|of| {
        let best = of.explain(&of.request()).map_err(text)?.detections().and_then(|f| f.detections.first().cloned());
        let best = best.ok_or("nothing is found")?;
        for (name, tensor) in &of.layers {
            at_layer(of, tensor, best.entry, &of.expected(name)).map_err(|problem| format!("{name}: {problem}"))?;
        }
        Ok(())
    });
}

fn at_layer(of: &Family, tensor: &str, entry: i64, expected: &Array4<f32>) -> Result<(), String> {
    let mut request = of.request();
    request.layers = vec![LayerName::from(tensor)];
    let augmented = model::augmented(&of.options(), &request, false, &mut None).map_err(text)?;
    let mut session = Session::new(&augmented.model, Compute::on_threads(1)).map_err(text)?;
    let (picture, asked) = (picture(of).into_dyn(), ArrayD::from_elem(vec![1, 1], entry));
    let inputs =
        vec![(augmented.input.as_str(), Input::Float(picture.view())), (Detection::INDEX, Input::Int64(asked.view()))];
    let outputs = session.run(inputs).map_err(text)?;
    for (what, row) in [(ACTIVATIONS, 0), (GRADIENTS, 1)] {
        let (found, expected) = (outputs.floats(what).map_err(text)?, expected.index_axis(Axis(0), row));
        if found.len() != expected.len() {
            return Err(format!("{what} {:?}, not {:?}", found.shape(), expected.shape()));
        }
        let nearness = Nearness::of(found, expected.into_dyn());
        if !(nearness.largest > 0.0 && nearness.is_within(Tolerance { cosine: 0.9999, difference: of.tolerance })) {
            return Err(format!("{what}: {nearness}"));
        }
    }
    Ok(())
}

#[test]
fn the_map_of_a_detection_is_the_formula_of_its_method() {
    on_every_family(|of| {
        for method in ["grad-cam", "hires-cam", "layer-cam"] {
            let mut request = of.request();
            request.layers = vec![LayerName::from(of.layers["backbone"].as_str())];
            request.method = Some(cam::find(method).map_err(text)?);
            request.detections.most = 1;
            let map = of.explain(&request).map_err(text)?.map.values;
            let reference = formula(method, &of.expected("backbone"));
            let nearness = Nearness::of(map.view().into_dyn(), reference.view().into_dyn());
            if !nearness.is_within(Tolerance { cosine: 0.9999, difference: of.tolerance }) {
                return Err(format!("{method}: {nearness}"));
            }
        }
        Ok(())
    });
}

/// The map of activations and gradients `[2,C,h,w]`, after `ReLU`.
fn formula(method: &str, values: &Array4<f32>) -> Array2<f32> {
    let (activations, gradients) = (values.index_axis(Axis(0), 0), values.index_axis(Axis(0), 1));
    let weights = match method {
        "grad-cam" => {
            let mean = gradients.mean_axis(Axis(2)).unwrap().mean_axis(Axis(1)).unwrap();
            mean.insert_axis(Axis(1)).insert_axis(Axis(2)).broadcast(gradients.dim()).unwrap().to_owned()
        }
        "layer-cam" => gradients.mapv(|slope| slope.max(0.0)),
        _ => gradients.to_owned(),
    };
    (&activations * &weights).sum_axis(Axis(0)).mapv(|value| value.max(0.0))
}

/// The default layers are the inputs of the heads. Where heads look at windows, whycam runs them on windows alone.
#[test]
fn a_map_from_windows_is_that_of_the_whole_backward_pass() {
    on_every_family(|of| {
        let mut request = of.request();
        request.detections.most = 1;
        let explanation = of.explain(&request).map_err(text)?;
        let entry =
            explanation.detections().and_then(|found| found.detections.first()).ok_or("nothing is found")?.entry;
        let whole = whole_map(of, &request, entry)?;
        maps::compare(&explanation.map.values, &whole, Tolerance { cosine: 0.9999, difference: 1e-3 }, &of.name)
    });
}

/// `HiResCAM` at all layers of the request, from one run of the whole augmented model.
fn whole_map(of: &Family, request: &Request, entry: i64) -> Result<Array2<f32>, String> {
    let augmented = model::augmented(&of.options(), request, false, &mut None).map_err(text)?;
    let mut session = Session::new(&augmented.model, Compute::on_threads(1)).map_err(text)?;
    let (picture, asked) = (picture(of).into_dyn(), ArrayD::from_elem(vec![1, 1], entry));
    let inputs =
        vec![(augmented.input.as_str(), Input::Float(picture.view())), (Detection::INDEX, Input::Int64(asked.view()))];
    let outputs = session.run(inputs).map_err(text)?;
    let map = |layer: usize| {
        let further = names_of_layer(layer);
        let [activations, gradients] =
            if layer == 0 { [ACTIVATIONS, GRADIENTS] } else { further.each_ref().map(|n| &**n) };
        let row = |name: &str| outputs.floats(name).map(|all| all.index_axis_move(Axis(0), 0).to_owned()).map_err(text);
        let (activations, gradients) = (row(activations)?, row(gradients)?);
        let map = (activations * gradients).sum_axis(Axis(0)).mapv(|value| value.max(0.0));
        map.into_dimensionality::<Ix2>().map_err(|e| e.to_string())
    };
    let maps = (0..augmented.layers()).map(map).collect::<Result<Vec<_>, String>>()?;
    if augmented.layers() == 1 {
        return Ok(maps[0].clone());
    }
    let contract = &augmented.contract;
    for geometry in &contract.layer_geometries {
        let first = geometry.stride.map(|stride| stride / 2.0);
        assert_eq!(*geometry, FieldGeometry { first, ..*geometry }, "{}", of.name);
    }
    let part = |layer: usize, size| contract.layer_geometries[layer].part_under(&contract.geometry, size);
    cam::fused(maps, part, cam::Fusion::Max, None).map_err(text)
}

#[test]
fn an_augmented_detector_keeps_its_own_outputs() {
    on_every_family(|of| {
        let original = OnnxModel::read(&reference("detectors").join(&of.file)).map_err(text)?;
        let image = original.graph().true_inputs().next().ok_or("no input")?;
        let (batch, name) = (picture(of).into_dyn(), image.name().to_owned());
        let alone =
            if image.dims().map(|dims| dims.len()) == Some(3) { batch.index_axis(Axis(0), 0) } else { batch.view() };
        let size = Array2::from_shape_vec((1, 2), vec![of.width as i64, of.height as i64]).unwrap().into_dyn();
        let mut inputs = vec![(name.as_str(), Input::Float(alone))];
        if original.graph().true_inputs().count() > 1 {
            inputs.push(("orig_target_sizes", Input::Int64(size.view())));
        }
        let mut session = Session::new(&original, Compute::on_threads(1)).map_err(text)?;
        let before = session.run(inputs).map_err(text)?;
        let augmented = model::augmented(&of.options(), &of.request(), false, &mut None).map_err(text)?;
        let mut session = Session::new(&augmented.model, Compute::on_threads(1)).map_err(text)?;
        let best = ArrayD::from_elem(vec![1, 1], -1);
        let inputs = vec![(name.as_str(), Input::Float(batch.view())), (Detection::INDEX, Input::Int64(best.view()))];
        let after = session.run(inputs).map_err(text)?;
        // Labels are integers.
        let floats = original.graph().output.iter().map(ValueInfo::name).filter(|name| before.floats(name).is_ok());
        for output in floats {
            if before.floats(output).map_err(text)? != after.floats(output).map_err(text)? {
                return Err(format!("{output} has changed"));
            }
        }
        Ok(())
    });
}
