//! Layer-wise relevance propagation on whole nets, against zennit and lxt.

use ndarray::{Array0, Array2, Array4, s};
use whycam::grad::{ConvRule, Rules};
use whycam::onnx::proto::{Attribute, Node, Tensor};
use whycam::{Compute, Explainer, Explanation, cam};

use crate::support::gradient::{Case, case, check_conservation, int, ints, node};
use crate::support::maps::{self, Tolerance};
use crate::support::tiny_net::Net;
use crate::support::{Folder, reference};

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

/// Nodes whose relevance all reaches `x`.
fn conserving() -> Vec<Case> {
    let then = |op: &str, inputs: &[&str], output: &str| Node::new(op, output, inputs, &[output]);
    let unary = |op: &'static str| case(op, "plain", &[2, 3, 5], node(op, &["x"])).with_kinks();
    let square = |op: &'static str| case(op, "with itself", &[4, 4], node(op, &["x", "x"]));
    let axes = |op: &'static str| case(op, "plain", &[2, 3, 4], node(op, &["x", "axes"])).int64s("axes", &[0, -1]);
    let conv = |name, attributes: Vec<Attribute>, group: i64| {
        let mut tested = node("Conv", &["x", "w"]).with(int("group", group));
        tested.attribute.extend(attributes);
        case("Conv", name, &[1, 4, 9, 8], tested).constant("w", &[6, 4 / group, 3, 3])
    };
    let sides = |name: &str| ints(name, &[2, 2]);
    // A padded convolution between two ops.
    let rectified = |name, first: &str, last: Node| {
        case("Conv", name, &[1, 2, 4, 5], then(first, &["x"], "a"))
            .and(then("Pad", &["a", "pads"], "t"))
            .int64s("pads", &[0, 0, 1, 0, 0, 0, 2, 1])
            .and(then("Conv", &["t", "w"], "c"))
            .constant("w", &[3, 2, 3, 2])
            .and(last)
    };
    let clip = |x: &'static [usize]| case("Clip", "to 6", x, node("Clip", &["x", "low", "high"])).scalar("low", 0.0);
    let unaries = ["Relu", "LeakyRelu", "Elu", "Softplus", "Tanh", "HardSwish", "HardSigmoid", "Erf", "Exp", "Mish"];
    let mut cases: Vec<Case> = unaries.map(unary).into();
    cases.extend([
        case("Pow", "cube", &[2, 3], node("Pow", &["x", "c"])).scalar("c", 3.0),
        case("Sqrt", "plain", &[2, 3], node("Sqrt", &["x"])).with_positive_x(),
        clip(&[2, 30]).scalar("high", 0.3),
        square("Mul"),
        square("MatMul"),
        case("Gemm", "of itself", &[4, 4], node("Gemm", &["x", "x"]).with(int("transB", 1))),
        case(
            "Einsum",
            "of itself",
            &[4, 4],
            node("Einsum", &["x", "x"]).with(Attribute::from_string("equation", "ij,kj->ik")),
        ),
        axes("ReduceSumSquare"),
        case("Div", "by what depends on x", &[4, 4], then("ReduceL2", &["x"], "n")).and(node("Div", &["x", "n"])),
        case("Mul", "with a reciprocal", &[4, 4], then("ReduceL2", &["x"], "n"))
            .and(then("Reciprocal", &["n"], "i"))
            .and(node("Mul", &["x", "i"])),
        case("Mul", "SiLU", &[4, 4], then("Sigmoid", &["x"], "s")).and(node("Mul", &["x", "s"])),
        case("Mul", "decomposed HardSwish", &[4, 4], then("Add", &["x", "three"], "a"))
            .and(then("Clip", &["a", "zero", "six"], "c"))
            .and(then("Div", &["c", "six"], "d"))
            .and(node("Mul", &["x", "d"]))
            .scalar("three", 3.0)
            .scalar("zero", 0.0)
            .scalar("six", 6.0),
        case("Mul", "GELU by tanh", &[4, 4], then("Mul", &["x", "half"], "h"))
            .and(then("Tanh", &["x"], "t"))
            .and(then("Add", &["t", "one"], "o"))
            .and(node("Mul", &["h", "o"]))
            .scalar("half", 0.5)
            .scalar("one", 1.0),
        case(
            "MaxPool",
            "equal values",
            &[1, 1, 2, 4],
            node("MaxPool", &["x"]).with(sides("kernel_shape")).with(sides("strides")),
        )
        .at(&[0.5, 0.5, 1.0, 2.0, 0.5, 0.25, 2.0, -1.0]),
        rectified("of ReLU", "Identity", node("Relu", &["c"])),
        rectified("of a Clip", "Identity", node("Clip", &["c", "low", "high"])).scalar("low", 0.0).scalar("high", 0.3),
        rectified("of positive numbers", "Abs", node("Relu", &["c"])),
        conv("strides", vec![ints("strides", &[2, 2]), ints("pads", &[1, 1, 0, 1])], 1),
        conv("groups", vec![ints("pads", &[1, 1, 1, 1])], 2),
        conv("same", vec![Attribute::from_string("auto_pad", "SAME_LOWER")], 1),
    ]);
    cases
}

#[test]
fn each_op_hands_on_all_relevance() {
    let rules = [ConvRule::Epsilon, ConvRule::ZPlus, ConvRule::Gamma].map(Rules::of_relevance);
    let failures: Vec<String> = conserving()
        .iter()
        .flat_map(|case| rules.iter().filter_map(move |rules| check_conservation(case, rules, 1e-3).err()))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_dynamically_quantised_product_is_a_product_with_weights() {
    let then = |op: &str, inputs: &[&str], outputs: &[&str]| Node::new(op, outputs[0], inputs, outputs);
    let case = case("MatMulInteger", "dynamic", &[4, 6], then("DynamicQuantizeLinear", &["x"], &["q", "s", "z"]))
        .and(then("DynamicQuantizeLinear", &["w"], &["v", "t", "u"]))
        .and(then("MatMulInteger", &["q", "v", "z", "u"], &["i"]))
        .and(then("Cast", &["i"], &["f"]).with(int("to", 1)))
        .and(then("Mul", &["s", "t"], &["both"]))
        .and(node("Mul", &["f", "both"]))
        .constant("w", &[6, 5]);
    check_conservation(&case, &Rules::of_relevance(ConvRule::Epsilon), 0.03).unwrap();
}

#[test]
fn the_largest_of_integers_gets_the_relevance() {
    let folder = Folder::new("relevance-integers");
    let then = |op: &str, inputs: &[&str], output: &str| Node::new(op, output, inputs, &[output]);
    let activation = vec![
        then("QuantizeLinear", &["seen", "scale"], "quantised"),
        then("MaxPool", &["quantised"], "largest").with(ints("kernel_shape", &[2, 2])).with(ints("strides", &[2, 2])),
        then("DequantizeLinear", &["largest", "scale"], "back"),
        then("Relu", &["back"], "active"),
    ];
    let constants = vec![Tensor::from_f32s("scale", &[], &[0.02])];
    let model = Net { activation, constants, ..Net::new() }.write(&folder, "integers.onnx");
    for method in METHODS {
        let builder = Explainer::builder().model(model.as_str()).method(cam::find(method).unwrap());
        let mut explainer = builder.compute(Compute::on_threads(1)).build().unwrap();
        let picture = Array4::from_shape_fn((1, 3, 16, 16), |(_, c, y, x)| ((c + 3 * y + 5 * x) % 7) as f32 / 7.0);
        let map = explainer.explain_tensor(picture.view().into_dyn()).unwrap().map;
        assert!(map.values.iter().any(|value| *value > 0.0), "{method}: {map:?}");
    }
}
