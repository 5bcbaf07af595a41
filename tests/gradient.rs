//! `whycam gradient` on models that are not of pictures, against PyTorch's autograd.

use std::fs::{self, File};

use ndarray::ArrayD;
use ndarray_npy::NpzReader;
use whycam::Compute;
use whycam::onnx::proto::{Attribute, Graph, Node, Tensor, ValueInfo};
use whycam::onnx::{DataType, OnnxModel};
use whycam::session::{Input, Session};

use crate::support::{Folder, assert_fails, assert_ok, reference, whycam};

/// The inputs of a model and the gradient that PyTorch gives.
struct Reference {
    floats: Vec<(String, ArrayD<f32>)>,
    integers: Vec<(String, ArrayD<i64>)>,
    expected: (String, ArrayD<f32>),
}

impl Reference {
    fn read(name: &str) -> Self {
        let mut file = NpzReader::new(File::open(reference(&format!("gradients/{name}.npz"))).unwrap()).unwrap();
        let (mut floats, mut integers, mut expected) = (Vec::new(), Vec::new(), None);
        for array in file.names().unwrap() {
            let key = array.trim_end_matches(".npy").to_owned();
            match file.by_name::<ndarray::OwnedRepr<f32>, ndarray::IxDyn>(&array) {
                Ok(values) if key.ends_with(".gradient") => expected = Some((key, values)),
                Ok(values) => floats.push((key, values)),
                Err(_) => integers.push((key, file.by_name(&array).unwrap())),
            }
        }
        Self { floats, integers, expected: expected.unwrap() }
    }

    /// The gradient that a written model gives.
    fn run(&self, model: &str) -> ArrayD<f32> {
        let mut session = Session::new(&OnnxModel::read(model.as_ref()).unwrap(), Compute::on_threads(1)).unwrap();
        let floats = self.floats.iter().map(|(name, values)| (name.as_str(), Input::Float(values.view())));
        let integers = self.integers.iter().map(|(name, values)| (name.as_str(), Input::Int64(values.view())));
        let outputs = session.run(floats.chain(integers).collect()).unwrap();
        outputs.floats(&self.expected.0).unwrap().to_owned()
    }
}

fn model(name: &str) -> String {
    reference(&format!("gradients/{name}.onnx")).display().to_string()
}

#[test]
fn ten_models_that_are_not_of_pictures_have_the_gradients_of_autograd() {
    let folder = Folder::new("gradient");
    let files = fs::read_dir(reference("gradients")).unwrap().flatten().map(|file| file.path());
    let names: Vec<String> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "onnx"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names.len(), 10, "{names:?}");
    for name in names {
        let expected = Reference::read(&name);
        let by = expected.expected.0.trim_end_matches(".gradient");
        let out = folder.file(&format!("{name}.onnx"));
        assert_ok(&whycam(&["gradient", &model(&name), "--of", "y", "--by", by, "-o", &out, "--quiet"]));
        let gradient = expected.run(&out);
        let largest = expected.expected.1.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
        let apart = (&gradient - &expected.expected.1).iter().fold(0.0_f32, |most, v| most.max(v.abs()));
        eprintln!("{name}: {apart:e} apart, largest {largest:e}");
        assert!(largest > 0.0 && apart < 1e-5 * largest.max(1.0), "{name}: {apart} apart, largest {largest}");
    }
}

#[test]
fn lengths_stay_free_where_the_backward_pass_can_compute_with_them() {
    let folder = Folder::new("gradient-free");
    // The model, its `--by`, its `--shape`, and what the program says about the lengths.
    let cases = [
        ("autoencoder", "x", None, "any N, M"),
        ("bert", "x", None, "any N, T"),
        ("recommender", "users.weight", None, "any N"),
        ("tabular", "x", None, "any N"),
        ("temporal", "x", None, "any N, T"),
        ("temporal", "x", Some("x=2,4,800"), "any N, T"),
        ("audio", "x", Some("x=2,1,800"), "T=800 only"),
    ];
    for (name, by, shape, said) in cases {
        let expected = Reference::read(&format!("free/{name}"));
        let (from, out) = (model(&format!("free/{name}")), folder.file(&format!("{name}.onnx")));
        let shape: Vec<&str> =
            ["--force"].into_iter().chain(shape.iter().flat_map(|shape| ["--shape", *shape])).collect();
        let output = whycam(&[&["gradient", &from, "--of", "y", "--by", by, "-o", &out], shape.as_slice()].concat());
        assert_ok(&output);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains(said), "{name}: {told}");
        let gradient = expected.run(&out);
        let apart = (&gradient - &expected.expected.1).iter().fold(0.0_f32, |most, v| most.max(v.abs()));
        assert!(apart < 1e-6, "{name}: {apart} apart");
    }
}

#[test]
fn recurrent_layers_in_one_node_are_written_out_step_by_step() {
    let folder = Folder::new("gradient-recurrent");
    for name in ["lstm", "gru", "rnn"] {
        let expected = Reference::read(&format!("recurrent/{name}"));
        let (from, out) = (model(&format!("recurrent/{name}")), folder.file(&format!("{name}.onnx")));
        let output = whycam(&["gradient", &from, "--of", "y", "--by", "x", "-o", &out]);
        assert_ok(&output);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains("any N"), "{name}: {told}");
        let gradient = expected.run(&out);
        let largest = expected.expected.1.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
        let apart = (&gradient - &expected.expected.1).iter().fold(0.0_f32, |most, v| most.max(v.abs()));
        assert!(largest > 0.0 && apart < 1e-5 * largest, "{name}: {apart} apart, largest {largest}");
    }
}

#[test]
fn the_gradients_of_several_outputs_are_summed() {
    let folder = Folder::new("gradient-sum");
    let out = folder.file("sum.onnx");
    let of = "y,/0/Gemm_output_0";
    assert_ok(&whycam(&["gradient", &model("tabular"), "--of", of, "--by", "x", "-o", &out, "--quiet"]));
    let read = OnnxModel::read(out.as_ref()).unwrap();
    let names: Vec<&str> = read.graph().true_inputs().map(ValueInfo::name).collect();
    assert_eq!(names, ["x", "y.seed", "/0/Gemm_output_0.seed"]);
    // With one seed of zeros, the sum is the gradient of the other tensor.
    let mut expected = Reference::read("tabular");
    let seed = expected.floats.iter_mut().find(|(name, _)| name == "seed").unwrap();
    seed.0 = "y.seed".into();
    expected.floats.push(("/0/Gemm_output_0.seed".into(), ArrayD::zeros(vec![4, 32])));
    let apart = expected.run(&out) - &expected.expected.1;
    assert!(apart.iter().all(|apart| apart.abs() < 1e-6));
}

#[test]
fn several_targets_are_differentiated_at_once() {
    let folder = Folder::new("gradient-several");
    let (one, both) = (folder.file("one.onnx"), folder.file("both.onnx"));
    let of = |by: &str, out: &str| {
        assert_ok(&whycam(&["gradient", &model("audio"), "--of", "y", "--by", by, "-o", out, "--quiet"]));
    };
    let expected = Reference::read("audio");
    of("x", &one);
    of("classes.weight,x", &both);
    assert_eq!(expected.run(&one), expected.run(&both));
    let outputs = OnnxModel::read(both.as_ref()).unwrap();
    let outputs: Vec<String> = outputs.graph().output.iter().map(|output| output.name().to_owned()).collect();
    assert_eq!(outputs, ["y", "classes.weight.gradient", "x.gradient"]);
}

/// A model `y = OP(x)`, where OP is an operator with subgraphs. Each subgraph doubles its input.
fn with_graph(op: &str, graphs: &[&str], inputs: &[&str]) -> OnnxModel {
    let info = |name: &str, kind: DataType, dims: &[i64]| ValueInfo::tensor(name, kind, dims);
    let doubled = Node::new("Add", "double", &["x", "x"], &["doubled"]);
    let bodies = graphs.iter().map(|name| {
        let mut body = Graph { name: Some("body".into()), node: vec![doubled.clone()], ..Graph::default() };
        if op == "Loop" {
            body.input = vec![
                info("step", DataType::Int64, &[]),
                info("go", DataType::Bool, &[]),
                info("state", DataType::Float, &[2]),
            ];
            body.node = vec![
                Node::new("Identity", "again", &["go"], &["again"]),
                Node::new("Add", "double", &["state", "state"], &["doubled"]),
            ];
            body.output = vec![info("again", DataType::Bool, &[])];
        }
        body.output.push(info("doubled", DataType::Float, &[2]));
        Attribute::from_graph(name, body)
    });
    let node = bodies.fold(Node::new(op, "choice", inputs, &["y"]), Node::with);
    let condition = [
        Node::new("ReduceMax", "max", &["x"], &["largest"]).with(Attribute::from_int("keepdims", 0)),
        Node::new("Greater", "positive", &["largest", "zero"], &["go"]),
    ];
    let graph = Graph {
        name: Some("test".into()),
        input: vec![info("x", DataType::Float, &[2])],
        output: vec![info("y", DataType::Float, &[2])],
        initializer: vec![Tensor::from_f32s("zero", &[], &[0.0]), Tensor::from_i64s("steps", &[], &[3])],
        node: condition.into_iter().chain([node]).collect(),
        ..Graph::default()
    };
    OnnxModel::from_graph("test", 17, graph)
}

#[test]
fn operators_that_depend_on_data_are_refused_with_what_to_do() {
    let folder = Folder::new("gradient-loop");
    let cases = [
        ("Loop", vec!["body"], vec!["steps", "go", "x"], "loop unrolled"),
        ("If", vec!["then_branch", "else_branch"], vec!["go"], "the branch that is taken"),
    ];
    for (op, graphs, inputs, remedy) in cases {
        let (from, out) = (folder.file(&format!("{op}.onnx")), folder.file("out.onnx"));
        fs::write(&from, with_graph(op, &graphs, &inputs).to_bytes()).unwrap();
        assert_fails(&["gradient", &from, "--of", "y", "--by", "x", "-o", &out], 1, &[op, "choice", remedy]);
    }
}

#[test]
fn a_kernel_larger_than_its_input_is_an_error() {
    let folder = Folder::new("gradient-negative");
    let graph = Graph {
        name: Some("test".into()),
        input: vec![ValueInfo::tensor("x", DataType::Float, &[1, 3, 4, 4])],
        output: vec![ValueInfo::tensor("y", DataType::Float, &[1, 2])],
        initializer: vec![Tensor::from_f32s("w", &[2, 3, 7, 7], &[0.1; 294])],
        node: vec![
            Node::new("Conv", "conv", &["x", "w"], &["c"]),
            Node::new("Relu", "relu", &["c"], &["r"]),
            Node::new("ReduceMean", "mean", &["r"], &["y"])
                .with(Attribute::from_ints("axes", &[2, 3]))
                .with(Attribute::from_int("keepdims", 0)),
        ],
        ..Graph::default()
    };
    let (from, out) = (folder.file("model.onnx"), folder.file("out.onnx"));
    fs::write(&from, OnnxModel::from_graph("test", 17, graph).to_bytes()).unwrap();
    assert_fails(&["gradient", &from, "--of", "y", "--by", "x", "-o", &out], 1, &["model.onnx", "negative length"]);
}

#[test]
fn what_cannot_be_differentiated_is_named() {
    let folder = Folder::new("gradient-wrong");
    let out = folder.file("out.onnx");
    let gradient = |arguments: &[&str], status: i32, words: &[&str]| {
        assert_fails(&[&["gradient", &model("tabular"), "-o", &out], arguments].concat(), status, words);
        assert!(!std::path::Path::new(&out).exists());
    };
    gradient(&["--of", "z", "--by", "x"], 1, &["no tensor 'z'", "x, y"]);
    gradient(&["--of", "x", "--by", "y"], 1, &["x does not depend on", "y"]);
    gradient(&["--of", "y", "--by", "x", "--shape", "z=1"], 1, &["no input 'z'"]);
    gradient(&["--of", "y", "--by", "x", "--shape", "x"], 2, &["NAME=1,3,224,224"]);
    let own = model("tabular");
    let refused = ["gradient", &own, "--of", "y", "--by", "x", "-o", &own, "--force"];
    assert_fails(&refused, 2, &["is read", "another file"]);
}

/// A row of masked attention whose scores are all masked is no number, and zero in its place.
#[test]
fn what_is_no_number_is_masked_away() {
    let folder = Folder::new("gradient-no-number");
    let info = |name: &str| ValueInfo::tensor(name, DataType::Float, &[2, 2]);
    let mask = Tensor { data_type: Some(DataType::Bool as i32), int32_data: vec![1, 1, 0, 0], ..Tensor::default() };
    let graph = Graph {
        name: Some("test".into()),
        input: vec![info("x")],
        output: vec![info("y")],
        initializer: vec![
            Tensor { name: Some("mask".into()), dims: vec![2, 2], ..mask },
            Tensor::from_f32s("never", &[], &[f32::NEG_INFINITY]),
            Tensor::from_f32s("zero", &[], &[0.0]),
        ],
        node: vec![
            Node::new("Where", "scores", &["mask", "x", "never"], &["scores"]),
            Node::new("Softmax", "softmax", &["scores"], &["shares"]),
            Node::new("IsNaN", "missing", &["shares"], &["missing"]),
            Node::new("Where", "filled", &["missing", "zero", "shares"], &["y"]),
        ],
        ..Graph::default()
    };
    let (from, out) = (folder.file("model.onnx"), folder.file("out.onnx"));
    fs::write(&from, OnnxModel::from_graph("test", 17, graph).to_bytes()).unwrap();
    assert_ok(&whycam(&["gradient", &from, "--of", "y", "--by", "x", "-o", &out]));
    let values = |values: [f32; 4]| ArrayD::from_shape_vec(vec![2, 2], values.to_vec()).unwrap();
    let found = Reference {
        floats: vec![("x".into(), values([0.0, 0.0, 1.0, 2.0])), ("seed".into(), values([1.0, 0.0, 1.0, 0.0]))],
        integers: Vec::new(),
        expected: ("x.gradient".into(), values([0.25, -0.25, 0.0, 0.0])),
    };
    assert_eq!(found.run(&out), found.expected.1);
}
