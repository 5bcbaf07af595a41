//! Layer-wise relevance propagation on whole nets, against zennit and lxt.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use ndarray::{Array0, Array2, Array4, s};
use support::maps::{self, Tolerance};
use support::reference;
use whycam::{Compute, Explainer, Explanation, cam};

const METHODS: [&str; 3] = ["lrp-epsilon", "lrp-z-plus", "lrp-gamma"];

fn explained(model: &str, method: &str) -> whycam::Result<Explanation> {
    let method = cam::find(method)?;
    let builder =
        Explainer::builder().model(reference(model).display().to_string().as_str()).method(method).signed(true);
    let mut explainer = builder.compute(Compute::on_threads(1)).build()?;
    let size = if model.contains("vgg") { 224 } else { 64 };
    let whole: Array4<u8> = ndarray_npy::read_npy(reference("models/input.npy")).unwrap();
    let picture = whole.slice(s![.., .., ..size, ..size]).mapv(|level| f32::from(level) / 255.0);
    explainer.explain_tensor(picture.view().into_dyn())
}

#[test]
fn relevance_is_that_of_zennit_and_lxt() {
    let mut failures = Vec::new();
    let nets = ["resnet", "vgg"].into_iter().flat_map(|net| METHODS.map(|method| (net, method)));
    for (net, method) in nets.chain([("vit_class_token", "lrp-epsilon")]) {
        let what = format!("{net} {method}");
        let expected: Array2<f32> = ndarray_npy::read_npy(reference(&format!("methods/{net}.{method}.npy"))).unwrap();
        let found = explained(&format!("models/{net}.legacy.onnx"), method).map_err(|e| format!("{what}: {e}"));
        let tolerance = Tolerance { cosine: 0.9999, difference: 2e-3 };
        failures.extend(found.and_then(|e| maps::compare(&e.map.values, &expected, tolerance, &what)).err());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn without_biases_all_relevance_reaches_the_picture() {
    let nets = ["resnet", "vgg"].into_iter().flat_map(|net| METHODS.map(|method| (net, method)));
    // What only negative inputs make, as in the branches of a ResNet, has no positive part that could take its relevance.
    for (net, method) in nets.filter(|case| *case != ("resnet", "lrp-z-plus")) {
        let logit = reference(&format!("methods/{net}_without_biases.logit.npy"));
        let logit = ndarray_npy::read_npy::<_, Array0<f32>>(logit).unwrap().into_scalar();
        let explanation = explained(&format!("methods/{net}_without_biases.onnx"), method).unwrap();
        let sum = explanation.map.values.sum();
        assert!((sum - logit).abs() < 1e-3 * logit.abs(), "{net} {method}: the logit is {logit}, the relevance {sum}");
    }
}
