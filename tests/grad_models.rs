//! Whole nets of many families: the default layer, and the gradient of the predicted class's logit
//! against PyTorch's autograd, at that layer and at an early one.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use ndarray::{Array1, Array4, ArrayD};
use whycam::grad::CLASS_INDEX;
use whycam::session::{Input, Session};
use whycam::{ExplainerOptions, analyse};

fn reference(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/models").join(name)
}

/// The gradient at a layer, and that layer's tensor.
fn gradient(net: &str, layer: Option<&str>) -> Result<(ArrayD<f32>, String), whycam::Error> {
    let options = ExplainerOptions {
        model: Some(reference(&format!("{net}.onnx")).display().to_string()),
        layer: layer.map(str::to_owned),
        ..ExplainerOptions::default()
    };
    let mut analysis = analyse(&options)?;
    let outputs = analysis.explain()?;
    let mut session = Session::new(&analysis.model, 1)?;
    let picture: Array4<f32> = ndarray_npy::read_npy(reference("input.npy")).unwrap();
    let predicted = Array1::from_elem(1, -1).into_dyn();
    let picture = (analysis.input.as_str(), Input::Float(picture.view().into_dyn()));
    let run = session.run(vec![picture, (CLASS_INDEX, Input::Int64(predicted.view()))])?;
    Ok((run.floats(outputs.gradients)?.to_owned(), analysis.target.layer.tensor))
}

#[test]
fn gradients_of_many_nets_are_those_of_autograd() {
    let layers = std::fs::read_to_string(reference("layers.txt")).unwrap();
    assert!(layers.lines().count() >= 14);
    let failures: Vec<String> = layers.lines().flat_map(check).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn check(line: &str) -> Vec<String> {
    let [net, default, early] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("layers.txt: {line}") };
    let mut failures = Vec::new();
    for (kind, layer) in [("default", None), ("early", Some(early))] {
        let (gradient, tensor) = match gradient(net, layer) {
            Ok(result) => result,
            Err(e) => {
                failures.push(format!("{net}, {kind}: {e}"));
                continue;
            }
        };
        if kind == "default" && tensor != default {
            failures.push(format!("{net}: the default layer is {tensor}, not {default}"));
            continue;
        }
        let expected: ArrayD<f32> = ndarray_npy::read_npy(reference(&format!("{net}.{kind}.npy"))).unwrap();
        let largest = expected.iter().fold(0.0, |m: f32, v| m.max(v.abs()));
        let apart = gradient.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let dot: f32 = gradient.iter().zip(&expected).map(|(a, b)| a * b).sum();
        let norm = |a: &ArrayD<f32>| a.iter().map(|v| v * v).sum::<f32>().sqrt();
        let cosine = dot / (norm(&gradient) * norm(&expected));
        if gradient.shape() != expected.shape() || !(cosine > 0.9999 && apart < 2e-3 * largest) {
            failures.push(format!("{net}, {kind}: cosine {cosine}, {apart} apart, largest {largest}"));
        }
    }
    failures
}
