//! Every method on whole nets: its map is the one of pytorch-grad-cam, or of the paper's formula in PyTorch.

use ndarray::{Array2, Array3, Array4, s};
use serde_json::Value;
use whycam::cam::{self, AttributesTo, Backward, Inputs, PerturbedInput, PerturbedRun, ScoreValue};
use whycam::{Compute, Explainer, LayerName};

use crate::support::maps::{self, Tolerance};
use crate::support::reference;

const NETS: &[&str] = &["resnet", "vgg", "squeezenet", "mobilenet3", "efficientnet", "regnet", "convnext"];

/// The file of a net, its side in pixels, and the tensor of its early layer.
fn net(name: &str) -> (String, usize, String) {
    let text = std::fs::read_to_string(reference("models/models.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let found = all.as_array().unwrap().iter().find(|line| line["name"] == name).unwrap();
    let file = reference("models").join(found["file"].as_str().unwrap());
    let size = found["size"].as_u64().unwrap() as usize;
    (file.display().to_string(), size, found["early"].as_str().unwrap().to_owned())
}

fn picture(size: usize) -> Array4<f32> {
    let whole: Array4<u8> = ndarray_npy::read_npy(reference("models/input.npy")).unwrap();
    whole.slice(s![.., .., ..size, ..size]).mapv(|level| f32::from(level) / 255.0)
}

/// Requires a cosine above 0.999, unless both maps are only the rounding of terms of the given size: the gradient of a
/// norm may be orthogonal to the activations.
fn compare(found: &Array2<f32>, expected: &Array2<f32>, terms: f64, what: &str) -> Result<(), String> {
    if found.dim() == expected.dim() && norm(found).max(norm(expected)) <= 1e-5 * terms {
        return Ok(());
    }
    maps::compare(found, expected, Tolerance::of_cosine(0.999), what)
}

fn norm(map: &Array2<f32>) -> f64 {
    map.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn every_method_makes_the_map_of_its_formula() {
    let mut failures = Vec::new();
    let mut compared = 0;
    for name in NETS {
        let (file, size, early) = net(name);
        // tests/tasks.rs has the maps of attention, tests/relevance.rs those of relevance. RefineCAM is of several layers.
        let compared_here = |method: &&cam::Method| {
            !["smooth-grad-cam++", "refine-cam"].contains(&method.name)
                && !matches!(method.inputs, Inputs::Attention(_))
                && method.backward == Backward::Gradient
        };
        for method in cam::METHODS.iter().filter(compared_here) {
            let layers: &[(&str, Option<&str>)] = match method.attributes_to {
                AttributesTo::Input => &[("", None)],
                AttributesTo::Layer => &[("default.", None), ("early.", Some(&early))],
            };
            for (which, layer) in layers {
                let builder = Explainer::builder().model(file.as_str()).method(method);
                let builder = builder.layers(layer.map(LayerName::from).into_iter().collect());
                let explainer = builder.compute(Compute::on_threads(1)).build();
                let explanation = explainer.and_then(|mut e| e.explain_tensor(picture(size).view().into_dyn()));
                let path = reference(&format!("methods/{name}.{which}{}.npy", method.name));
                let expected: Array2<f32> = ndarray_npy::read_npy(&path).unwrap_or_else(|e| {
                    panic!("{}: {e}; tests/reference/methods.py {} makes it", path.display(), method.name)
                });
                let terms = reference(&format!("methods/{name}.{which}grad-cam-elementwise.npy"));
                let terms = ndarray_npy::read_npy(terms).map_or(0.0, |map| norm(&map));
                let what = format!("{name} {which}{}", method.name);
                let found = explanation.map_err(|e| format!("{what}: {e}"));
                let outcome = found.and_then(|e| compare(&e.map.values, &expected, terms, &what));
                failures.extend(outcome.err());
                compared += 1;
            }
        }
    }
    assert!(failures.is_empty(), "{} of {compared}:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn maps_of_several_layers_are_fused_as_their_papers_say() {
    for name in NETS {
        let (file, size, early) = net(name);
        let find = || Explainer::builder().model(file.as_str()).compute(Compute::on_threads(1));
        let late = find().build().unwrap().context().layer.clone();
        let layers = [late, early].map(|layer| LayerName::from(layer.as_str())).to_vec();
        for (method, expected) in [("refine-cam", "refine-cam"), ("layer-cam", "lifted-layer-cam")] {
            let builder = find().layers(layers.clone()).method(cam::find(method).unwrap());
            let found = builder.build().unwrap().explain_tensor(picture(size).view().into_dyn()).unwrap();
            let expected: Array2<f32> =
                ndarray_npy::read_npy(reference(&format!("methods/{name}.{expected}.npy"))).unwrap();
            compare(&found.map.values, &expected, 0.0, &format!("{name} {method}")).unwrap();
        }
    }
}

#[test]
fn refine_cam_finds_the_layers_of_the_next_finer_grids() {
    for (name, grids) in [("resnet", [2, 4, 8]), ("vgg", [14, 28, 56])] {
        let (file, size, _) = net(name);
        let builder = Explainer::builder().model(file.as_str()).method(cam::find("refine-cam").unwrap());
        let layers: Vec<String> = builder.build().unwrap().context().layer.split(',').map(str::to_owned).collect();
        let grid = |layer: &String| {
            let mut explainer = Explainer::builder().model(file.as_str()).layer(layer.as_str()).build().unwrap();
            explainer.explain_tensor(picture(size).view().into_dyn()).unwrap().map.values.nrows()
        };
        assert_eq!(layers.iter().map(grid).collect::<Vec<_>>(), grids, "{name}: {layers:?}");
    }
}

#[test]
fn refine_cam_goes_on_from_the_layer_of_the_manifest() {
    let builder = || Explainer::builder().model("flowers");
    let layer = builder().build().unwrap().context().layer.clone();
    let layers = builder().method(cam::find("refine-cam").unwrap()).build().unwrap().context().layer.clone();
    assert!(layers.starts_with(&format!("{layer},")) && layers.split(',').count() == 3, "{layers}");
    let named = builder().method(cam::find("refine-cam").unwrap()).layer(layer.as_str()).build().unwrap();
    assert_eq!(named.context().layer, layer);
}

#[test]
fn the_manifest_shifts_the_layer_that_refine_cam_starts_from_and_none_of_a_list() {
    let builder = || Explainer::builder().model("flowers");
    let default = builder().build().unwrap().context().clone();
    let refined = builder().method(cam::find("refine-cam").unwrap()).build().unwrap().context().clone();
    assert!(default.shift.is_some());
    assert_eq!(refined.shift, default.shift);
    let list = builder().layers(LayerName::parse_list(&refined.layer)).build().unwrap().context().clone();
    assert_eq!((list.layer, list.shift), (refined.layer, None));
}

#[test]
fn smooth_grad_cam_plus_plus_without_a_change_is_grad_cam_plus_plus() {
    let expected: Array4<f32> = ndarray_npy::read_npy(reference("models/resnet.early.npy")).unwrap();
    let [activations, gradients] = [0, 1].map(|at| expected.index_axis(ndarray::Axis(0), at).to_owned());
    let method = |name: &str| cam::find(name).unwrap().inputs;
    let (Inputs::Gradients(plain), Inputs::InputGradients(smooth)) =
        (method("grad-cam++"), method("smooth-grad-cam++"))
    else {
        panic!("the methods need something else");
    };
    let input = Array3::from_shape_fn((3, 4, 4), |(c, y, x)| (c + y + x) as f32);
    let mut copies = Vec::new();
    let run = &mut |copy: Array3<f32>| {
        copies.push(copy);
        let score = ScoreValue { logit: 1.0, probability: 1.0 };
        Ok(PerturbedRun { activations: activations.clone(), gradients: gradients.clone(), score })
    };
    let map = smooth(&mut PerturbedInput { input: input.view(), activations: activations.view(), run }).unwrap();
    compare(&map, &plain(activations.view(), gradients.view()), 0.0, "smooth-grad-cam++").unwrap();
    let noise: Vec<f32> = copies.iter().flat_map(|copy| (copy - &input).into_iter()).collect();
    let deviation = (noise.iter().map(|v| v * v).sum::<f32>() / noise.len() as f32).sqrt();
    assert_eq!(copies.len(), 8);
    assert!((deviation / (8.0 * 0.15) - 1.0).abs() < 0.15, "{deviation}");
}
