//! Every method on whole nets: its map is that of pytorch-grad-cam, or of the paper's formula in PyTorch.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use ndarray::{Array2, Array3, Array4, s};
use serde_json::Value;
use whycam::cam::{self, ClassScore, How, OneRun, Whole};
use whycam::{Explainer, ExplainerOptions};

const NETS: &[&str] = &["resnet", "vgg", "squeezenet", "mobilenet3", "efficientnet", "regnet", "convnext"];

fn reference(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name)
}

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

/// Cosine above 0.999, or both nothing but the rounding of terms of the given size, as where the gradient of
/// a norm lies across the activations.
fn compare(found: &Array2<f32>, expected: &Array2<f32>, terms: f64) -> Result<(), String> {
    if found.dim() != expected.dim() {
        return Err(format!("{:?}, not {:?}", found.dim(), expected.dim()));
    }
    let (a, b) = (norm(found), norm(expected));
    if a.max(b) <= 1e-5 * terms {
        return Ok(());
    }
    let dot: f64 = found.iter().zip(expected).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
    let cosine = dot / (a * b);
    if cosine > 0.999 { Ok(()) } else { Err(format!("cosine {cosine}, sizes {a:e} and {b:e}")) }
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
        for method in cam::METHODS.iter().filter(|method| method.name != "smooth-grad-cam++") {
            let layers: &[(&str, Option<&str>)] = match method.layer {
                cam::Layer::Input => &[("", None)],
                cam::Layer::Target => &[("default.", None), ("early.", Some(&early))],
            };
            for (which, layer) in layers {
                let options = ExplainerOptions {
                    model: Some(file.clone()),
                    method: Some(method.name.into()),
                    layer: layer.map(str::to_owned),
                    compute: whycam::Compute::on_threads(1),
                    ..ExplainerOptions::default()
                };
                let explanation =
                    Explainer::new(&options).and_then(|mut e| e.explain_tensor(picture(size).view().into_dyn()));
                let path = reference(&format!("methods/{name}.{which}{}.npy", method.name));
                let expected: Array2<f32> = ndarray_npy::read_npy(&path).unwrap_or_else(|e| {
                    panic!("{}: {e}; tests/reference/methods.py {} makes it", path.display(), method.name)
                });
                let terms = reference(&format!("methods/{name}.{which}grad-cam-elementwise.npy"));
                let terms = ndarray_npy::read_npy(terms).map_or(0.0, |map| norm(&map));
                let found = explanation.map_err(|e| e.to_string());
                let outcome = found.and_then(|e| compare(&e.map.values, &expected, terms));
                failures.extend(outcome.err().map(|e| format!("{name} {which}{}: {e}", method.name)));
                compared += 1;
            }
        }
    }
    assert!(failures.is_empty(), "{} of {compared}:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn smooth_grad_cam_plus_plus_without_a_change_is_grad_cam_plus_plus() {
    let expected: Array4<f32> = ndarray_npy::read_npy(reference("models/resnet.early.npy")).unwrap();
    let [activations, gradients] = [0, 1].map(|at| expected.index_axis(ndarray::Axis(0), at).to_owned());
    let method = |name: &str| cam::find(name).unwrap().how;
    let (How::Gradients(plain), How::Copies(smooth)) = (method("grad-cam++"), method("smooth-grad-cam++")) else {
        panic!("the methods need something else");
    };
    let input = Array3::from_shape_fn((3, 4, 4), |(c, y, x)| (c + y + x) as f32);
    let mut copies = Vec::new();
    let run = &mut |copy: Array3<f32>| {
        copies.push(copy);
        let score = ClassScore { logit: 1.0, probability: 1.0 };
        Ok(OneRun { activations: activations.clone(), gradients: gradients.clone(), score })
    };
    let map = smooth(&mut Whole { input: input.view(), activations: activations.view(), run }).unwrap();
    compare(&map, &plain(activations.view(), gradients.view()), 0.0).unwrap();
    let noise: Vec<f32> = copies.iter().flat_map(|copy| (copy - &input).into_iter()).collect();
    let deviation = (noise.iter().map(|v| v * v).sum::<f32>() / noise.len() as f32).sqrt();
    assert_eq!(copies.len(), 8);
    assert!((deviation / (8.0 * 0.15) - 1.0).abs() < 0.15, "{deviation}");
}
