//! Ops of other operator sets give the same after they are rewritten as standard ones, and quantised ones have the gradient
//! of the float numbers that they stand for.

mod cases;

use cases::{Lowered, MICROSOFT, bytes, float, fused, integer, lowered, quantised, text};
use ndarray::{ArrayD, IxDyn};
use whycam::grad::{Rules, differentiate};
use whycam::onnx::proto::{Attribute, Node, Tensor, ValueInfo};
use whycam::onnx::{DataType, OnnxModel};
use whycam::session::{Input, Session, probe};

use crate::support::Random;
use crate::support::gradient::{int, ints};

fn run(model: &OnnxModel, x: &ArrayD<f32>, name: &str) -> ArrayD<f32> {
    let mut session = Session::new(model, whycam::Compute::on_threads(1)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let outputs = session.run(vec![("x", Input::Float(x.view()))]).unwrap_or_else(|e| panic!("{name}: {e}"));
    outputs.floats("y").unwrap().to_owned()
}

/// The runtime must accept the original, so that there is something to compare with.
#[test]
fn rewritten_ops_give_the_same_numbers() {
    for (cases, tolerance) in [(fused(), 1e-5), (integer(), 1e-6)] {
        for case in cases {
            let (original, x) = (case.model(), case.input());
            let rewritten = OnnxModel::from_bytes(case.name, original.to_bytes()).unwrap();
            let foreign = |node: &&Node| {
                let old = ["QLinear", "Simplified", "ConcatFromSequence"];
                !node.is_standard() || old.iter().any(|op| node.op().starts_with(op))
            };
            assert!(original.graph().node.iter().any(|node| foreign(&node)), "{}", case.name);
            assert_eq!(rewritten.graph().node.iter().find(foreign).map(Node::op), None, "{}", case.name);
            let (before, after) = (run(&original, &x, case.name), run(&rewritten, &x, case.name));
            assert_eq!(before.shape(), after.shape(), "{}", case.name);
            let off = before.iter().zip(&after).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off <= tolerance, "{}: off by {off}: {before} became {after}", case.name);
        }
    }
}

/// The gradient of `Σ r y` by `x`.
fn gradient(case: &Lowered) -> ArrayD<f32> {
    let mut model = OnnxModel::from_bytes(case.name, case.model().to_bytes()).unwrap();
    let shape: Vec<usize> = case.x.iter().map(|&d| d as usize).collect();
    let tensors = probe(&mut model, &[("x", shape)]).unwrap();
    let (patch, name) = differentiate(&model, &tensors, &Rules::default(), "y", "seed", "x").unwrap();
    patch.apply(&mut model);
    let y = tensors["y"].shape.clone();
    model.add_input("seed", DataType::Float, &y.iter().map(|&d| d as i64).collect::<Vec<_>>());
    model.add_output(&name);
    let seed = ArrayD::from_shape_vec(IxDyn(&y), Random(8).many(y.iter().product())).unwrap();
    let x = case.input();
    let mut session = Session::new(&model, whycam::Compute::on_threads(1)).unwrap();
    let outputs = session.run(vec![("x", Input::Float(x.view())), ("seed", Input::Float(seed.view()))]).unwrap();
    outputs.floats(&name).unwrap().to_owned()
}

/// Weights `[…]` of whole numbers, once as bytes with a zero point and once as floats.
fn twin_weights(dims: &[i64], zero: i8) -> (Tensor, Tensor) {
    let count = dims.iter().product::<i64>() as usize;
    let levels: Vec<i8> = Random(21).many(count).iter().map(|v| (v * 63.0) as i8).collect();
    let floats: Vec<f32> = levels.iter().map(|level| 0.01 * (f32::from(*level) - f32::from(zero))).collect();
    let raw = levels.iter().map(|level| *level as u8).collect();
    (bytes("w", DataType::Int8, dims, raw), Tensor::from_f32s("w", dims, &floats))
}

fn assert_same_gradient(quantised: &Lowered, float: &Lowered) {
    let (found, right) = (gradient(quantised), gradient(float));
    let most = right.iter().fold(0.0f32, |most, v| most.max(v.abs()));
    let off = found.iter().zip(&right).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(most > 0.0 && off < 1e-5 * most, "{}: off by {off} of {most}", quantised.name);
}

#[test]
fn dynamically_quantised_layers_have_the_gradient_of_the_float_layer() {
    let scaled = |product: Node| {
        vec![
            Node::new("DynamicQuantizeLinear", "d", &["x"], &["q", "qs", "qz"]),
            product,
            Node::new("Cast", "c", &["p"], &["f"]).with(int("to", 1)),
            Node::new("Mul", "m", &["qs", "ws"], &["fs"]),
            Node::new("Mul", "y", &["f", "fs"], &["y"]),
        ]
    };
    let window = |node: Node| node.with(ints("strides", &[2, 1])).with(ints("pads", &[1, 0, 0, 1]));
    for zero in [0, 7] {
        let zeros = || bytes("s", DataType::Int8, &[], vec![zero as u8]);
        let (quantised, float) = twin_weights(&[4, 3, 3, 2], zero);
        let conv = window(Node::new("ConvInteger", "p", &["q", "w", "qz", "s"], &["p"]));
        assert_same_gradient(
            &lowered("ConvInteger", &[1, 3, 7, 6], scaled(conv)).scale("ws", 0.01).with(zeros()).with(quantised),
            &lowered("Conv", &[1, 3, 7, 6], vec![window(Node::new("Conv", "y", &["x", "w"], &["y"]))]).with(float),
        );
        let (quantised, float) = twin_weights(&[4, 5], zero);
        let product = Node::new("MatMulInteger", "p", &["q", "w", "qz", "s"], &["p"]);
        assert_same_gradient(
            &lowered("MatMulInteger", &[3, 4], scaled(product)).scale("ws", 0.01).with(zeros()).with(quantised),
            &lowered("MatMul", &[3, 4], vec![Node::new("MatMul", "y", &["x", "w"], &["y"])]).with(float),
        );
    }
}

#[test]
fn quantised_layers_have_the_gradient_of_the_float_layer() {
    let middle = |op: &str, inputs: &[&str]| Node {
        domain: Some(if op == "QLinearMatMul" || op == "QLinearConv" { "" } else { MICROSOFT }.into()),
        ..Node::new(op, "r", inputs, &["r"])
    };
    let plain = |op: &str, inputs: &[&str]| vec![Node::new(op, "y", inputs, &["y"])];
    let product = ["q", "xs", "u", "w", "xs", "s", "rs", "u"];
    let (quantised_kernel, kernel) = twin_weights(&[4, 3, 3, 3], 0);
    assert_same_gradient(
        &quantised("QLinearConv", &[1, 3, 5, 6], middle("QLinearConv", &product)).with(quantised_kernel),
        &lowered("Conv", &[1, 3, 5, 6], plain("Conv", &["x", "w"])).with(kernel),
    );
    let (quantised_matrix, matrix) = twin_weights(&[4, 5], 0);
    assert_same_gradient(
        &quantised("QLinearMatMul", &[3, 4], middle("QLinearMatMul", &product)).with(quantised_matrix.clone()),
        &lowered("MatMul", &[3, 4], plain("MatMul", &["x", "w"])).with(matrix.clone()),
    );
    assert_same_gradient(
        &quantised("QGemm", &[3, 4], middle("QGemm", &["q", "xs", "u", "w", "xs", "s", "", "rs", "u"]))
            .with(quantised_matrix),
        &lowered("Gemm", &[3, 4], plain("Gemm", &["x", "w"])).with(matrix),
    );
    // 100 to 149 stand for -0.224 to 0.168.
    let levels = bytes("k", DataType::Uint8, &[1, 50], (100..150).collect());
    let factors: Vec<f32> = (100..150u8).map(|level| 0.008 * (f32::from(level) - 128.0)).collect();
    let binary = ["q", "xs", "u", "k", "ws", "u", "rs", "u"];
    assert_same_gradient(
        &quantised("QLinearMul", &[1, 50], middle("QLinearMul", &binary)).with(levels.clone()),
        &lowered("Mul", &[1, 50], plain("Mul", &["x", "k"])).with(Tensor::from_f32s("k", &[1, 50], &factors)),
    );
    assert_same_gradient(
        &quantised("QLinearAdd", &[1, 50], middle("QLinearAdd", &binary)).with(levels),
        &lowered("Add", &[1, 50], plain("Add", &["x", "k"])).with(Tensor::from_f32s("k", &[1, 50], &factors)),
    );
    let unary = ["q", "xs", "u", "rs", "u"];
    assert_same_gradient(
        &quantised("QLinearGlobalAveragePool", &[1, 2, 4, 4], middle("QLinearGlobalAveragePool", &unary)),
        &lowered("GlobalAveragePool", &[1, 2, 4, 4], plain("GlobalAveragePool", &["x"])),
    );
}

/// Quantisation that is written out.
#[test]
fn rounding_passes_the_gradient() {
    let nodes = vec![
        Node::new("Div", "d", &["x", "s"], &["d"]),
        Node::new("Round", "r", &["d"], &["r"]),
        Node::new("Mul", "y", &["r", "s"], &["y"]),
    ];
    let plain = lowered("plain", &[1, 64], vec![Node::new("Identity", "y", &["x"], &["y"])]);
    assert_same_gradient(&lowered("rounded", &[1, 64], nodes).scale("s", 0.1), &plain);
}

/// A quantiser whose zero point is its least number has taken a `ReLU` in; one that clips elsewhere passes the gradient.
#[test]
fn a_quantiser_passes_the_gradient_where_it_clips_but_not_where_it_rectifies() {
    let chain = |zero: u8| {
        let nodes = vec![
            Node::new("QuantizeLinear", "q", &["x", "s", "z"], &["q"]),
            Node::new("DequantizeLinear", "y", &["q", "s", "z"], &["y"]),
        ];
        // From -0.128 to 0.127, or to 0.255: most of x is clipped.
        lowered("clipped", &[1, 64], nodes).scale("s", 0.001).with(bytes("z", DataType::Uint8, &[], vec![zero]))
    };
    let plain = lowered("plain", &[1, 64], vec![Node::new("Identity", "y", &["x"], &["y"])]);
    let relu = lowered("relu", &[1, 64], vec![Node::new("Relu", "y", &["x"], &["y"])]);
    assert_same_gradient(&chain(128), &plain);
    assert_same_gradient(&chain(0), &relu);
}

/// Operator sets before 7 broadcast by attributes, and named types by words.
#[test]
fn the_oldest_operator_sets_are_upgraded() {
    let channels = |op: &str, inputs: &[&str], y: &str| {
        Node::new(op, y, inputs, &[y]).with(int("broadcast", 1)).with(int("axis", 1))
    };
    let nodes = vec![
        channels("Mul", &["x", "a"], "scaled"),
        channels("Add", &["scaled", "b"], "moved"),
        Node::new("PRelu", "active", &["moved", "a"], &["active"]),
        Node::new("BatchNormalization", "n", &["active", "a", "b", "b", "v"], &["n"]).with(int("is_test", 1)),
        Node::new("Dropout", "d", &["n"], &["d"]).with(int("is_test", 1)).with(float("ratio", 0.5)),
        Node::new("Reshape", "r", &["d"], &["flat"]).with(ints("shape", &[1, -1])),
        Node::new("Cast", "y", &["flat"], &["y"]).with(text("to", "FLOAT")),
    ];
    let case = lowered("old", &[1, 3, 2, 2], nodes).weights("a", &[3]).weights("b", &[3]).with(Tensor::from_f32s(
        "v",
        &[3],
        &[1.0, 2.0, 0.5],
    ));
    let old = OnnxModel::from_graph("old", 1, case.model().graph().clone());
    let new = OnnxModel::from_bytes("new", old.to_bytes()).unwrap();
    let (x, y) = (case.input(), run(&new, &case.input(), "old"));
    let [a, b] = [0, 1].map(|constant| case.constants[constant].to_f32s().unwrap());
    let right = x.iter().enumerate().map(|(at, x)| {
        let (channel, v) = (at / 4, [1.0f32, 2.0, 0.5][at / 4]);
        let moved = x * a[channel] + b[channel];
        let active = if moved < 0.0 { moved * a[channel] } else { moved };
        (active - b[channel]) / (v + 1e-5).sqrt() * a[channel] + b[channel]
    });
    let off = right.zip(&y).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(off < 1e-5, "off by {off}");
}

/// Ops that no runtime runs any more, by their formulas.
#[test]
fn ops_that_onnx_removed_are_computed_by_their_formulas() {
    let of = |nodes: Vec<Node>| {
        let case = lowered("removed", &[1, 2, 3, 4], nodes);
        let model = OnnxModel::from_bytes("removed", case.model().to_bytes()).unwrap();
        (case.input(), run(&model, &case.input(), "removed"))
    };
    let node = |op: &str| Node::new(op, "y", &["x"], &["y"]);
    let bias = Attribute::from_floats("bias", &[-3.0, 5.0]);
    let (x, y) = of(vec![node("ImageScaler").with(float("scale", 2.0)).with(bias)]);
    let right = x.indexed_iter().map(|(at, x)| 2.0 * x + [-3.0, 5.0][at[1]]);
    assert!(right.zip(&y).all(|(a, b)| (a - b).abs() < 1e-6));
    let (x, y) = of(vec![node("Affine").with(float("alpha", 3.0)).with(float("beta", -1.0))]);
    assert!(x.iter().zip(&y).all(|(x, y)| (3.0 * x - 1.0 - y).abs() < 1e-6));
    let (x, y) = of(vec![node("Crop").with(ints("border", &[1, 0, 1, 2]))]);
    assert_eq!((y.shape(), y[[0, 1, 0, 0]]), (&[1, 2, 1, 2][..], x[[0, 1, 0, 1]]));
    let (x, y) = of(vec![node("ScaledTanh").with(float("alpha", 1.7)).with(float("beta", 0.6))]);
    assert!(x.iter().zip(&y).all(|(x, y)| (1.7 * (0.6 * x).tanh() - y).abs() < 1e-6));
    let (x, y) = of(vec![node("ParametricSoftplus").with(float("alpha", 2.0)).with(float("beta", 0.5))]);
    assert!(x.iter().zip(&y).all(|(x, y)| (2.0 * ((0.5 * x).exp() + 1.0).ln() - y).abs() < 1e-5));
}

/// What the same node meant before: a softmax ran over all axes from its own on, and regions lay half a cell further.
#[test]
fn nodes_of_older_operator_sets_keep_their_meaning() {
    let node = |op: &str, axis: Option<i64>| {
        let node = Node::new(op, op, &["x"], &["y"]);
        axis.map_or(node.clone(), |axis| node.with(int("axis", axis)))
    };
    let align = Node::new("RoiAlign", "y", &["x", "rois", "of"], &["y"]);
    let align = ["output_height", "output_width", "sampling_ratio"].into_iter().fold(align, |n, a| n.with(int(a, 2)));
    let rois = Tensor::from_f32s("rois", &[1, 4], &[0.0, 0.0, 4.0, 4.0]);
    for case in [
        lowered("several axes", &[1, 2, 3, 4], vec![node("Softmax", Some(1))]),
        lowered("an axis of one", &[1, 1, 3], vec![node("LogSoftmax", None)]),
        lowered("from the third on", &[1, 2, 3, 4], vec![node("Softmax", Some(2))]),
        lowered("the last", &[1, 2, 3, 4], vec![node("Softmax", Some(3))]),
        lowered("from the first on", &[2, 3], vec![node("Softmax", Some(0))]),
        lowered("the largest", &[1, 3, 1, 1], vec![node("Hardmax", None)]),
        lowered("RoiAlign", &[1, 1, 6, 6], vec![align]).with(rois).with(Tensor::from_i64s("of", &[1], &[0])),
    ] {
        let mut graph = case.model().graph().clone();
        if case.name == "an axis of one" {
            graph.output = vec![ValueInfo::tensor("y", DataType::Float, &case.x)];
        }
        let old = OnnxModel::from_graph("old", 11, graph);
        let new = OnnxModel::from_bytes("new", old.to_bytes()).unwrap();
        let (before, after) = (run(&old, &case.input(), "old"), run(&new, &case.input(), "new"));
        let same = before.iter().zip(&after).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(same && before.shape() == after.shape(), "{}: {before} became {after}", case.name);
    }
}
