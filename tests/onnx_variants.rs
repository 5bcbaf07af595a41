//! ONNX files of every form of classifier, without a manifest: inputs, heads and layers, and the errors for models that
//! do not classify pictures.

use std::fs;

use ndarray::{Array2, Array4};
use serde_json::Value;
use whycam::onnx::proto::{Attribute, Function, Graph, Message, Model, Node, Tensor, ValueInfo};
use whycam::onnx::{DataType, OnnxModel, WORKING_OPSET};

use crate::support::maps::{self, Tolerance};
use crate::support::tiny_net::{Net, write};
use crate::support::{Folder, picture, stderr, stdout, whycam};

/// What `explain` says of a picture, and its raw map.
fn explain(folder: &Folder, input: &str, model: &str, more: &[&str]) -> (Value, Array2<f32>) {
    let maps = folder.file("maps");
    let arguments = ["explain", input, "--model", model, "--json", "-", "--maps", &maps, "--force"];
    let output = whycam(&[&arguments, more].concat());
    assert!(output.status.success(), "{model}: {}", stderr(&output));
    let line = serde_json::from_str(&stdout(&output)).unwrap();
    (line, ndarray_npy::read_npy(folder.0.join("maps/000000.npy")).unwrap())
}

fn failure(arguments: &[&str], status: i32) -> String {
    let output = whycam(arguments);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", stderr(&output));
    stderr(&output)
}

/// Maps of one size whose values, as shares of the largest one, differ by less than `near`.
fn assert_same_shape(map: &Array2<f32>, other: &Array2<f32>, near: f64, what: &str) {
    let largest = |map: &Array2<f32>| map.iter().copied().fold(0.0, f32::max);
    assert!(largest(map) > 0.0, "{what}: no evidence");
    maps::assert_near(&(map / largest(map)), &(other / largest(other)), Tolerance::of_difference(near), what);
}

#[test]
fn every_form_of_input_is_explained_alike() {
    let folder = Folder::new("inputs");
    let photo = picture(&folder, "photo.png", 16, 16);
    let turn = |from: &str| {
        Node::new("Transpose", "turn", &[from], &["turned"]).with(Attribute::from_ints("perm", &[0, 3, 1, 2]))
    };
    let to = |kind: DataType| Attribute::from_int("to", kind as i64);
    let shrink = Tensor::from_f32s("value", &[], &[1.0 / 255.0]);
    let from_bytes = || {
        let constant = Node::new("Constant", "shrink", &[], &["shrink"]);
        vec![
            constant.with(Attribute::from_tensor("value", shrink.clone())),
            Node::new("Cast", "cast", &["image"], &["numbers"]).with(to(DataType::Float)),
            Node::new("Mul", "scale", &["numbers", "shrink"], &["scaled"]),
            turn("scaled"),
        ]
    };
    let half = || vec![Node::new("Cast", "cast", &["image"], &["numbers"]).with(to(DataType::Float))];
    let plain = Net::new().write(&folder, "plain.onnx");
    let (_, expected) = explain(&folder, &photo, &plain, &["--preset", "unit"]);
    let forms = [
        ("free.onnx", "unit", Net { dims: vec![-1, 3, 16, 16], ..Net::new() }),
        ("batch.onnx", "unit", Net { dims: vec![4, 3, 16, 16], ..Net::new() }),
        ("last.onnx", "unit", Net { dims: vec![-1, 16, 16, 3], before: vec![turn("image")], ..Net::new() }),
        ("half.onnx", "unit", Net { kind: DataType::Float16, before: half(), ..Net::new() }),
        ("bytes.onnx", "", Net { kind: DataType::Uint8, dims: vec![1, 16, 16, 3], before: from_bytes(), ..Net::new() }),
    ];
    for (name, preset, net) in forms {
        let model = net.write(&folder, name);
        let preset: &[&str] = if preset.is_empty() { &[] } else { &["--preset", preset] };
        let (line, map) = explain(&folder, &photo, &model, preset);
        assert_same_shape(&map, &expected, 2e-3, name);
        assert_eq!(line["layer"], "active", "{name}");
    }
    let free = Net { dims: vec![-1, 3, -1, -1], ..Net::new() }.write(&folder, "free_size.onnx");
    assert_eq!(explain(&folder, &photo, &free, &[]).1.dim(), (224, 224));
    let grey = Net { dims: vec![1, 1, 16, 16], channels: 1, ..Net::new() }.write(&folder, "grey.onnx");
    assert_eq!(explain(&folder, &photo, &grey, &[]).1.dim(), (16, 16));
}

#[test]
fn unknown_preprocessing_is_guessed_with_a_notice() {
    let folder = Folder::new("guess");
    let photo = picture(&folder, "photo.png", 16, 16);
    let model = Net::new().write(&folder, "plain.onnx");
    let arguments = ["explain", &photo, "--model", &model, "--json", "-"];
    assert!(stderr(&whycam(&arguments)).contains("'unit'"), "its input is small");
    let large = Net { dims: vec![1, 3, 96, 96], ..Net::new() }.write(&folder, "large.onnx");
    assert!(stderr(&whycam(&["explain", &photo, "--model", &large, "--json", "-"])).contains("'imagenet'"));
    assert!(!stderr(&whycam(&[&arguments[..], &["--preset", "unit"]].concat())).contains("preset"));
    let last = Net { dims: vec![1, 16, 16, 3], kind: DataType::Uint8, ..Net::new() };
    let cast = Node::new("Cast", "cast", &["image"], &["f"]).with(Attribute::from_int("to", 1));
    let turn = Node::new("Transpose", "turn", &["f"], &["t"]).with(Attribute::from_ints("perm", &[0, 3, 1, 2]));
    let model = Net { before: vec![cast, turn], ..last }.write(&folder, "bytes.onnx");
    let report: Value = serde_json::from_str(&stdout(&whycam(&["inspect", &model, "--json"]))).unwrap();
    assert_eq!(report["preprocessing_guessed"]["preset"], "raw");
    assert_eq!(report["inputs"][0]["layout"], "NHWC");
}

#[test]
fn every_form_of_head_gives_the_logits() {
    let folder = Folder::new("heads");
    let photo = picture(&folder, "photo.png", 16, 16);
    let run = |name: &str, head: Vec<Node>, outputs: Vec<&'static str>, more: &[&str]| {
        let model = Net { head, outputs, ..Net::new() }.write(&folder, name);
        explain(&folder, &photo, &model, more)
    };
    let flat = || Node::new("Flatten", "flatten", &["pooled"], &["flat"]);
    let gemm = || Node::new("Gemm", "gemm", &["flat", "v"], &["scores"]);
    let (plain, expected) = run("plain.onnx", vec![flat(), gemm()], vec!["scores"], &[]);
    let logit = plain["logit"].as_f64().unwrap();

    let softmax = |from: &str| Node::new("Softmax", "softmax", &[from], &["probabilities"]);
    let many = Node::new("Mul", "many", &["scores", "many"], &["loud"]);
    let wide = |from: &str| Node::new("Reshape", "wide", &[from, "wide"], &["image_of_scores"]);
    let exp = Node::new("Exp", "exp", &["scores"], &["powers"]);
    let sum = Node::new("ReduceSum", "sum", &["powers", "axis"], &["sum"]);
    let share = Node::new("Div", "share", &["powers", "sum"], &["probabilities"]);
    let sigmoid = Node::new("Sigmoid", "sigmoid", &["scores"], &["probabilities"]);
    let argmax = Node::new("ArgMax", "argmax", &["scores"], &["best"]).with(Attribute::from_int("axis", 1));
    let cast = Node::new("Cast", "to_float", &["scores"], &["logits"]).with(Attribute::from_int("to", 1));
    let heads: [(&str, Vec<Node>, Vec<&'static str>, f64); 7] = [
        ("softmax.onnx", vec![flat(), gemm(), softmax("scores")], vec!["probabilities"], 1.0),
        ("saturated.onnx", vec![flat(), gemm(), many, softmax("loud")], vec!["probabilities"], 400.0),
        ("written_out.onnx", vec![flat(), gemm(), exp, sum, share], vec!["probabilities"], 1.0),
        ("sigmoid.onnx", vec![flat(), gemm(), sigmoid], vec!["probabilities"], 1.0),
        ("wide.onnx", vec![flat(), gemm(), wide("scores")], vec!["image_of_scores"], 1.0),
        ("cast.onnx", vec![flat(), gemm(), cast], vec!["logits"], 1.0),
        ("best.onnx", vec![flat(), gemm(), argmax], vec!["best"], 1.0),
    ];
    for (name, head, outputs, factor) in heads {
        let (line, map) = run(name, head, outputs, &[]);
        assert!((line["logit"].as_f64().unwrap() / factor - logit).abs() < 1e-4, "{name}: {line}");
        assert_eq!(line["class_index"], plain["class_index"], "{name}");
        assert_same_shape(&map, &expected, 1e-4, name);
        let probability = line["probability"].as_f64().unwrap();
        let sigmoid = 1.0 / (1.0 + (-logit).exp());
        match name {
            "saturated.onnx" => assert!(probability > 0.999_999),
            "sigmoid.onnx" => assert!((probability - sigmoid).abs() < 1e-5),
            _ => assert!((probability - plain["probability"].as_f64().unwrap()).abs() < 1e-5, "{name}"),
        }
    }

    // Of two heads the first is taken, or the one that --output names.
    let other = Node::new("Neg", "other", &["scores"], &["contrary"]);
    let heads = || vec![flat(), gemm(), other.clone()];
    let (first, _) = run("two.onnx", heads(), vec!["scores", "contrary"], &[]);
    let (second, _) = run("two.onnx", heads(), vec!["scores", "contrary"], &["--output", "contrary"]);
    assert_eq!(first["class_index"], plain["class_index"]);
    assert_ne!(second["class_index"], plain["class_index"]);
    let message = failure(&["explain", &photo, "--model", &folder.file("two.onnx"), "--output", "none"], 2);
    assert!(message.contains("scores, contrary"), "{message}");
}

#[test]
fn models_that_do_not_classify_pictures_are_refused() {
    let folder = Folder::new("others");
    let photo = picture(&folder, "photo.png", 16, 16);
    let says = |name: &str, graph: Graph, parts: &[&str]| {
        let path = write(graph, &folder, name);
        let message = failure(&["explain", &photo, "--model", &path], 1);
        for part in parts {
            assert!(message.contains(part), "{name}: {message}");
        }
        assert_eq!(message.lines().count(), 1, "{name}: {message}");
    };
    let mut two = Net::new().graph();
    two.input.push(ValueInfo::tensor("mask", DataType::Float, &[1, 3, 16, 16]));
    says("two_inputs.onnx", two, &["2 inputs", "image, mask", "one picture"]);
    let text = Graph { input: vec![ValueInfo::tensor("ids", DataType::Int64, &[1, 128])], ..Net::new().graph() };
    says("text.onnx", text, &["ids [1,128]", "[N,C,h,w]"]);
    let maps = Net { outputs: vec!["active"], head: vec![], ..Net::new() };
    says("segments.onnx", maps.graph(), &["active [1, 8, 16, 16]", "[N,K]"]);
    let flat = Graph {
        node: vec![
            Node::new("Flatten", "flatten", &["image"], &["flat"]),
            Node::new("MatMul", "product", &["flat", "m"], &["scores"]),
        ],
        initializer: vec![Tensor::from_f32s("m", &[768, 2], &vec![0.1; 1536])],
        output: vec![ValueInfo::untyped("scores")],
        ..Net::new().graph()
    };
    says("perceptron.onnx", flat, &["no layer with rows and columns"]);
    let mut many = Net::new().graph();
    many.input[0] = ValueInfo::tensor("image", DataType::Float, &[1_000_000_000, 3, 16, 16]);
    says("many.onnx", many, &["more numbers than whycam takes"]);
    let path = folder.file("not.onnx");
    fs::write(&path, "hello").unwrap();
    assert!(failure(&["inspect", &path], 1).contains("not an ONNX model"));
}

#[test]
fn a_layer_is_found_by_its_tensor_its_node_a_part_or_a_number() {
    let folder = Folder::new("names");
    let photo = picture(&folder, "photo.png", 16, 16);
    let model = Net::new().write(&folder, "net.onnx");
    let layer = |name: &str| explain(&folder, &photo, &model, &["--layer", name]).0["layer"].clone();
    assert_eq!(
        ["seen", "conv", "see", "-2", "relu", "-1"].map(layer),
        ["seen", "seen", "seen", "seen", "active", "active"]
    );
    let wrong = |name: &str, status| failure(&["explain", &photo, "--model", &model, "--layer", name], status);
    assert!(wrong("e", 2).contains("seen and active"));
    assert!(wrong("-9", 2).contains("2 candidates"));
    assert!(wrong("none", 2).contains("whycam inspect"));
    assert!(wrong("flat", 1).contains("[1, 8]"));
}

#[test]
fn an_op_without_a_rule_is_named() {
    let folder = Folder::new("unknown");
    let photo = picture(&folder, "photo.png", 16, 16);
    let mut odd = Node { domain: Some("ai.onnx.ml".into()), ..Node::new("Scaler", "odd", &["flat"], &["bent"]) };
    odd.attribute = ["offset", "scale"].map(|name| Attribute::from_floats(name, &[2.0])).to_vec();
    let head = vec![
        Node::new("Flatten", "flatten", &["pooled"], &["flat"]),
        odd,
        Node::new("Gemm", "gemm", &["bent", "v"], &["scores"]),
    ];
    let mut net =
        OnnxModel::from_graph("net", WORKING_OPSET, Net { head, outputs: vec!["scores"], ..Net::new() }.graph());
    net.import("ai.onnx.ml", 3);
    let path = folder.file("odd.onnx");
    fs::write(&path, net.to_bytes()).unwrap();
    let message = failure(&["explain", &photo, "--model", &path], 1);
    assert!(message.contains("ai.onnx.ml.Scaler") && message.contains("node odd"), "{message}");
    assert!(message.contains("score-cam"), "no method that does without: {message}");
    let report: Value = serde_json::from_str(&stdout(&whycam(&["inspect", &path, "--json"]))).unwrap();
    assert_eq!(report["nodes_without_rule"][0]["node"], "odd");
    assert_eq!(report["nodes_without_rule"][0]["in_the_way"], true);
    let table = stdout(&whycam(&["inspect", &path]));
    assert!(table.contains("! Scaler  odd") && table.contains("* Relu"), "{table}");
}

#[test]
fn branches_that_the_shape_decides_and_functions_of_the_model_are_inlined() {
    let folder = Folder::new("inline");
    let photo = picture(&folder, "photo.png", 16, 16);
    let plain = Net::new().write(&folder, "plain.onnx");
    let (_, expected) = explain(&folder, &photo, &plain, &[]);

    // If the batch is 1: the branch flattens `pooled`, a tensor of the outer graph.
    let branch = |name: &str, node: Node| {
        Attribute::from_graph(
            name,
            Graph {
                name: Some(name.into()),
                output: vec![ValueInfo::untyped(&node.output[0])],
                node: vec![node],
                ..Graph::default()
            },
        )
    };
    let head = vec![
        Node::new("Shape", "shape", &["pooled"], &["shape"]),
        Node::new("Gather", "batch", &["shape", "nought"], &["batch"]),
        Node::new("Equal", "single", &["batch", "one"], &["single"]),
        Node::new("If", "if", &["single"], &["flat"])
            .with(branch("then_branch", Node::new("Flatten", "a", &["pooled"], &["t"])))
            .with(branch("else_branch", Node::new("Squeeze", "b", &["pooled"], &["t"]))),
        Node::new("Gemm", "gemm", &["flat", "v"], &["scores"]),
    ];
    let mut graph = Net { head, outputs: vec!["scores"], ..Net::new() }.graph();
    graph.initializer.extend([Tensor::from_i64s("nought", &[], &[0]), Tensor::from_i64s("one", &[], &[1])]);
    let path = write(graph, &folder, "branch.onnx");
    assert_same_shape(&explain(&folder, &photo, &path, &[]).1, &expected, 1e-4, "If");

    let classify = Function {
        name: Some("Classify".into()),
        domain: Some("own".into()),
        input: vec!["from".into(), "weights".into()],
        output: vec!["to".into()],
        node: vec![
            Node::new("Flatten", "f", &["from"], &["flat"]),
            Node::new("Gemm", "g", &["flat", "weights"], &["to"]),
        ],
        opset_import: vec![],
        ..Function::default()
    };
    let call = Node { domain: Some("own".into()), ..Node::new("Classify", "call", &["pooled", "v"], &["scores"]) };
    let graph = Net { head: vec![call], outputs: vec!["scores"], ..Net::new() }.graph();
    let mut model = OnnxModel::from_graph("net", WORKING_OPSET, graph);
    model.import("own", 1);
    let mut proto = Model::decode(model.to_bytes().as_slice()).unwrap();
    proto.functions.push(classify);
    let path = folder.file("function.onnx");
    fs::write(&path, proto.encode_to_vec()).unwrap();
    assert_same_shape(&explain(&folder, &photo, &path, &[]).1, &expected, 1e-4, "function");
}

#[test]
fn nodes_out_of_order_are_put_in_order_and_a_circle_is_an_error() {
    let folder = Folder::new("order");
    let photo = picture(&folder, "photo.png", 16, 16);
    let plain = Net::new().write(&folder, "plain.onnx");
    let (_, expected) = explain(&folder, &photo, &plain, &[]);
    let mut graph = Net::new().graph();
    graph.node.reverse();
    let path = write(graph.clone(), &folder, "reversed.onnx");
    assert_same_shape(&explain(&folder, &photo, &path, &[]).1, &expected, 1e-5, "reversed");
    graph.node.push(Node::new("Add", "circle", &["image", "round"], &["round"]));
    let path = write(graph, &folder, "circle.onnx");
    assert!(failure(&["inspect", &path], 1).contains("circle needs its own output"));
    let mut graph = Net::new().graph();
    graph.node.insert(0, Node::new("Identity", "nothing", &["image", ""], &[""]));
    let path = write(graph, &folder, "nothing.onnx");
    assert!(!failure(&["inspect", &path], 1).is_empty());
}

#[test]
fn a_prepared_model_is_used_unchanged() {
    let folder = Folder::new("prepared");
    let photo = picture(&folder, "photo.png", 40, 30);
    let labels = folder.file("labels.txt");
    fs::write(&labels, "a\nb\nc\nd\ne\n").unwrap();
    let model = Net { dims: vec![-1, 3, 16, 16], ..Net::new() }.write(&folder, "plain.onnx");
    let prepared = folder.file("prepared.onnx");
    let options = ["--labels", &labels, "--preset", "symmetric", "--layer", "seen"];
    let output = whycam(&[&["prepare", &model, "-o", &prepared, "--cam"], &options[..]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let (mut direct, expected) = explain(&folder, &photo, &model, &options);
    let (mut line, map) = explain(&folder, &photo, &prepared, &[]);
    assert_eq!(map, expected);
    for line in [&mut direct, &mut line] {
        line["model"].take();
    }
    assert_eq!(line, direct);
    let again = folder.file("again.onnx");
    assert!(failure(&["prepare", &prepared, "-o", &again], 1).contains("augmented already"));
    let report: Value = serde_json::from_str(&stdout(&whycam(&["inspect", &prepared, "--json"]))).unwrap();
    assert_eq!(
        (report["layer"].as_str(), report["reason"].as_str()),
        (Some("seen"), Some("the model was prepared for it"))
    );
    let other = failure(&["explain", &photo, "--model", &prepared, "--layer", "active"], 1);
    assert!(other.contains("prepared for the layer seen"), "{other}");
    let other = failure(&["explain", &photo, "--model", &prepared, "--task", "value"], 1);
    assert!(other.contains("prepared with its task"), "{other}");
}

/// Files need not state the shapes of their outputs.
#[test]
fn a_model_that_leaves_its_logits_open_can_be_prepared() {
    let folder = Folder::new("open");
    let photo = picture(&folder, "photo.png", 40, 30);
    let head = vec![
        Node::new("Flatten", "flatten", &["pooled"], &["flat"]),
        Node::new("Gemm", "gemm", &["flat", "v"], &["logits"]),
    ];
    let model = Net { head, outputs: vec!["logits"], ..Net::new() }.write(&folder, "open.onnx");
    let (prepared, options) = (folder.file("prepared.onnx"), ["--preset", "symmetric"]);
    let output = whycam(&[&["prepare", &model, "-o", &prepared], &options[..]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(explain(&folder, &photo, &prepared, &[]).1, explain(&folder, &photo, &model, &options).1);
}

#[test]
fn a_tensor_is_the_models_input_unchanged() {
    let folder = Folder::new("tensor");
    let photo = picture(&folder, "photo.png", 16, 16);
    let model = Net::new().write(&folder, "plain.onnx");
    let (line, expected) = explain(&folder, &photo, &model, &["--preset", "unit"]);
    let pixels = image::open(&photo).unwrap().to_rgb8();
    let tensor = Array4::from_shape_fn((1, 3, 16, 16), |(_, c, y, x)| {
        f32::from(pixels.get_pixel(x as u32, y as u32).0[c]) / 255.0
    });
    let path = folder.file("input.npy");
    ndarray_npy::write_npy(&path, &tensor).unwrap();
    let (of_tensor, map) = explain(&folder, &path, &model, &["--tensor"]);
    assert_same_shape(&map, &expected, 1e-5, "tensor");
    assert!((of_tensor["logit"].as_f64().unwrap() - line["logit"].as_f64().unwrap()).abs() < 1e-5);
    let [white, wide, small] = ["white.npy", "wide.npy", "bytes.npy"].map(|name| folder.file(name));
    ndarray_npy::write_npy(&white, &tensor.mapv(f32::round)).unwrap();
    ndarray_npy::write_npy(&wide, &tensor.mapv(|value| f64::from(value.round()))).unwrap();
    ndarray_npy::write_npy(&small, &tensor.mapv(|value| value.round() as u8)).unwrap();
    let logit = |path: &str| explain(&folder, path, &model, &["--tensor"]).0["logit"].clone();
    assert_eq!([logit(&wide), logit(&small)], [logit(&white), logit(&white)]);
    assert!(failure(&["explain", &path, "--model", &model], 2).contains("--tensor"));
    assert!(failure(&["explain", &photo, "--model", &model, "--tensor"], 2).contains("no .npy file"));
    let small = folder.file("small.npy");
    ndarray_npy::write_npy(&small, &Array4::<f32>::zeros((1, 3, 8, 8))).unwrap();
    let message = failure(&["explain", &small, "--model", &model, "--tensor", "--json", "-"], 1);
    assert!(message.contains("[1, 3, 8, 8]") && message.contains("[3, 16, 16]"), "{message}");
}

#[test]
fn an_output_without_numbers_is_named() {
    let folder = Folder::new("empty");
    let cases = [("active", 1, "[1, 0, 16, 16]"), ("active", 3, "[1, 8, 16, 0]"), ("flat", 2, "[1, 8, 0]")];
    for (from, axis, shape) in cases {
        let constant = |name: &str, values: &[i64]| Tensor::from_i64s(name, &[values.len() as i64], values);
        let constants = vec![constant("along", &[axis]), constant("zero", &[0]), constant("rows", &[1, 8, -1])];
        let head = vec![
            Node::new("Reshape", "flatten", &["active", "rows"], &["flat"]),
            Node::new("Slice", "none", &[from, "zero", "zero", "along"], &["nothing"]),
        ];
        let net = Net { head, outputs: vec!["nothing"], constants, ..Net::new() };
        let told = failure(&["inspect", &net.write(&folder, "empty.onnx")], 1);
        assert!(told.contains(&format!("nothing {shape} (empty)")), "{told}");
    }
}
