//! Model files. Each is the net of one convolution, in another form.

use std::cell::Cell;
use std::fs;

use serde_json::Value;
use whycam::onnx::proto::{Attribute, Graph, Node, Tensor};
use whycam::onnx::{DataType, OnnxModel, WORKING_OPSET};

use crate::Trial;
use crate::support::{Folder, picture, stderr, stdout, whycam};
use crate::tiny_net::Net;

pub fn trials() -> Vec<Trial> {
    let files = Files { folder: Folder::new("trials-models"), count: Cell::new(0) };
    [files.quantised(), files.heads(), files.odd_heads(), files.other_tools(), files.forms(), files.refusals()].concat()
}

struct Files {
    folder: Folder,
    /// How many were written.
    count: Cell<usize>,
}

fn trial(case: &'static str, right: &'static str, got: String) -> Trial {
    Trial { case, right, got }
}

fn node(op: &str, inputs: &[&str], output: &str) -> Node {
    Node::new(op, output, inputs, &[output])
}

fn scalar(name: &str, value: f32) -> Tensor {
    Tensor::from_f32s(name, &[], &[value])
}

fn byte(name: &str, value: u8) -> Tensor {
    bytes(name, DataType::Uint8, &[], vec![value])
}

fn bytes(name: &str, kind: DataType, dims: &[i64], values: Vec<u8>) -> Tensor {
    let (name, raw) = (Some(name.to_owned()), Some(values.into()));
    Tensor { name, dims: dims.to_vec(), data_type: Some(kind as i32), raw_data: raw, ..Tensor::default() }
}

/// A net that ends in bare scores.
fn bare() -> Net {
    let mut net = Net::new();
    net.head.pop();
    net.outputs = vec!["scores"];
    net
}

/// What the program says of a file: where its logits and its layer are, or why it refuses.
pub fn look_at(path: &str) -> String {
    let output = whycam(&["inspect", "--json", path]);
    if !output.status.success() {
        let text = stderr(&output);
        return text.split_once(".onnx: ").map_or(text.as_str(), |(_, said)| said).trim().to_owned();
    }
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let text = |key: &str| report[key].as_str().unwrap_or_default().to_owned();
    let (logits, layer, probability) = (text("logits"), text("layer"), text("probability"));
    format!("{logits}: {} by {probability}, layer {layer}", report["classes"])
}

/// A tensor `x` quantised and back, as `x_back`, at a scale.
fn there_and_back(x: &str, scale: &str, zero: &str) -> Vec<Node> {
    let [quantised, back] = ["q", "back"].map(|end| format!("{x}_{end}"));
    vec![
        node("QuantizeLinear", &[x, scale, zero], &quantised),
        node("DequantizeLinear", &[&quantised, scale, zero], &back),
    ]
}

impl Files {
    fn write(&self, graph: Graph, change: impl FnOnce(&mut OnnxModel)) -> String {
        let mut model = OnnxModel::from_graph("net", WORKING_OPSET, graph);
        model.import("com.microsoft", 1);
        model.import("ai.onnx.ml", 3);
        change(&mut model);
        self.count.set(self.count.get() + 1);
        let path = self.folder.file(&format!("net-{}.onnx", self.count.get()));
        fs::write(&path, model.to_bytes()).unwrap();
        path
    }

    fn look(&self, net: Net) -> String {
        look_at(&self.write(net.graph(), |_| ()))
    }

    /// The first line of an explanation.
    fn explain(&self, path: &str, options: &[&str]) -> Value {
        let photo = picture(&self.folder, "photo.png", 40, 40);
        let output = whycam(&[&["explain", &photo, "--json", "-", "--quiet", "--model", path], options].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_str(stdout(&output).lines().next().unwrap()).unwrap()
    }

    fn quantised(&self) -> Vec<Trial> {
        let zero = || byte("zero", 128);
        let mut after_softmax = Net::new();
        after_softmax.head.extend(there_and_back("probabilities", "fine", "least"));
        after_softmax.outputs = vec!["probabilities_back"];
        after_softmax.constants = vec![scalar("fine", 1.0 / 255.0), byte("least", 0)];

        let mut saturated = bare();
        saturated.head.extend(there_and_back("scores", "fine", "zero"));
        saturated.outputs = vec!["scores_back"];
        saturated.constants = vec![scalar("fine", 1e-6), zero()];
        let saturated = self.write(saturated.graph(), |_| ());
        let plain = self.explain(&saturated, &["--class", "1"])["map"]["max"].clone();
        let right = self.explain(&self.write(bare().graph(), |_| ()), &["--class", "1"])["map"]["max"].clone();

        let mut pooled = Net::new();
        pooled.activation = vec![node("LeakyRelu", &["seen"], "leaky")];
        pooled.activation.extend(there_and_back("leaky", "coarse", "zero"));
        let window = [Attribute::from_ints("kernel_shape", &[2, 2]), Attribute::from_ints("strides", &[2, 2])];
        pooled.activation.push(Node { attribute: window.to_vec(), ..node("MaxPool", &["leaky_back"], "small") });
        pooled.activation.extend(there_and_back("small", "coarse", "zero"));
        pooled.activation.push(node("Identity", &["small_back"], "active"));
        pooled.constants = vec![scalar("coarse", 0.05), zero()];
        vec![
            trial("dynamic quantisation", "sum: 4 by softmax, layer active", look_at(&self.dynamic())),
            trial("integer operators", "logits_q/MatMul: 4 by softmax, layer back", look_at(&self.operators())),
            trial("quantised after the softmax", "scores: 5 by softmax, layer active", self.look(after_softmax)),
            trial("saturated scores", "the map without", {
                if plain == right { "the map without".into() } else { format!("{plain} instead of {right}") }
            }),
            trial("quantised around pooling", "scores: 5 by softmax, layer leaky", self.look(pooled)),
        ]
    }

    /// `DynamicQuantizeLinear`, `ConvInteger`, `MatMulInteger`.
    fn dynamic(&self) -> String {
        let scaled = |x: &str, product: Node, y: &str| {
            let [q, s, z, f, m] = ["q", "s", "z", "f", "m"].map(|end| format!("{x}_{end}"));
            let made = product.output[0].clone();
            let to_float = Attribute::from_int("to", DataType::Float as i64);
            vec![
                Node::new("DynamicQuantizeLinear", q.as_str(), &[x], &[&q, &s, &z]),
                product,
                node("Cast", &[&made], &f).with(to_float),
                node("Mul", &[&s, "ws"], &m),
                node("Mul", &[&f, &m], y),
            ]
        };
        let conv =
            node("ConvInteger", &["image_q", "wq", "image_z"], "conv").with(Attribute::from_ints("pads", &[1; 4]));
        let product = node("MatMulInteger", &["flat_q", "vq", "flat_z"], "product");
        let mut net = Net::new();
        net.before = scaled("image", conv, "moved");
        net.before.push(node("Relu", &["moved"], "active"));
        net.before.push(node("GlobalAveragePool", &["active"], "pooled"));
        net.before.push(node("Flatten", &["pooled"], "flat"));
        net.before.extend(scaled("flat", product, "sum"));
        let nodes = [net.before, vec![node("Softmax", &["sum"], "probabilities")]].concat();
        let levels = |count: usize| (0..count).map(|at| (at * 37 % 120) as u8).collect::<Vec<_>>();
        let constants = vec![
            scalar("ws", 0.01),
            bytes("wq", DataType::Int8, &[8, 3, 3, 3], levels(216)),
            bytes("vq", DataType::Int8, &[8, 4], levels(32)),
        ];
        self.write(Graph { node: nodes, initializer: constants, ..Net::new().graph() }, |_| ())
    }

    /// `QLinearConv` and `QLinearMatMul`.
    fn operators(&self) -> String {
        let nodes = vec![
            node("QuantizeLinear", &["image", "s", "zero"], "image_q"),
            node("QLinearConv", &["image_q", "s", "zero", "wq", "s", "none", "s", "zero"], "conv_q"),
            node("DequantizeLinear", &["conv_q", "s", "zero"], "back"),
            node("GlobalAveragePool", &["back"], "pooled"),
            node("Flatten", &["pooled"], "flat"),
            node("QuantizeLinear", &["flat", "s", "zero"], "flat_q"),
            node("QLinearMatMul", &["flat_q", "s", "zero", "vq", "s", "none", "s", "zero"], "logits_q"),
            node("DequantizeLinear", &["logits_q", "s", "zero"], "scores"),
            node("Softmax", &["scores"], "probabilities"),
        ];
        let levels = |count: usize| (0..count).map(|at| (at * 37 % 120) as u8).collect::<Vec<_>>();
        let constants = vec![
            scalar("s", 0.02),
            byte("zero", 128),
            bytes("none", DataType::Int8, &[], vec![0]),
            bytes("wq", DataType::Int8, &[8, 3, 3, 3], levels(216)),
            bytes("vq", DataType::Int8, &[8, 4], levels(32)),
        ];
        self.write(Graph { node: nodes, initializer: constants, ..Net::new().graph() }, |_| ())
    }

    fn heads(&self) -> Vec<Trial> {
        let mut boxes = Net::new();
        boxes.head.push(node("MatMul", &["flat", "corners"], "boxes"));
        boxes.outputs = vec!["boxes", "probabilities"];
        boxes.constants = vec![Tensor::from_f32s("corners", &[8, 4], &[0.1; 32])];

        let mut two = bare();
        two.head.push(node("MatMul", &["flat", "other"], "second"));
        two.outputs = vec!["scores", "second"];
        two.constants = vec![Tensor::from_f32s("other", &[8, 4], &[0.1; 32])];
        for name in two.head.iter_mut().flat_map(|node| &mut node.output).filter(|name| *name == "scores") {
            *name = "first".into();
        }
        two.outputs[0] = "first";

        let mut cells = Net::new();
        cells.head = vec![node("Flatten", &["active"], "cells")];
        cells.outputs = vec!["cells"];

        let mut sequence = Net::new();
        sequence.head = vec![
            node("ReduceMax", &["active", "rows"], "row").with(Attribute::from_int("keepdims", 0)),
            node("ArgMax", &["row"], "letters")
                .with(Attribute::from_int("axis", 1))
                .with(Attribute::from_int("keepdims", 0)),
        ];
        sequence.outputs = vec!["letters"];
        sequence.constants = vec![Tensor::from_i64s("rows", &[1], &[2])];

        vec![
            trial("boxes before scores", "scores: 5 by softmax, layer active", self.look(boxes)),
            trial(
                "two heads that nothing tells apart",
                "nothing tells which of its outputs 'first' [N,5], 'second' [N,4] holds the scores of classes; --output \
                 chooses",
                self.look(two),
            ),
            trial(
                "a number for each cell",
                "whycam explains classifiers, whose output is [N,classes]; this model gives cells [1, 2048] (a number for \
                 each cell or anchor of a map, no classes)",
                self.look(cells),
            ),
            trial(
                "the letters of a word",
                "whycam explains classifiers, whose output is [N,classes]; this model gives letters [1, 16] (the largest of \
                 [1, 8, 16]: the classes of a sequence or of pixels, not of the picture)",
                self.look(sequence),
            ),
        ]
    }

    fn odd_heads(&self) -> Vec<Trial> {
        let mut clipped = Net::new();
        clipped.head.push(node("Mul", &["probabilities", "hundred"], "percent"));
        clipped.outputs = vec!["percent"];
        clipped.constants = vec![scalar("hundred", 100.0)];

        let mut dropped = Net::new();
        dropped.head.push(node("Slice", &["probabilities", "one", "many_classes", "one"], "foreground"));
        dropped.outputs = vec!["foreground"];
        dropped.constants = vec![Tensor::from_i64s("one", &[1], &[1]), Tensor::from_i64s("many_classes", &[1], &[9])];

        let mut half = bare();
        half.kind = DataType::Float16;
        half.before = vec![node("Cast", &["image"], "wide_image").with(Attribute::from_int("to", 1))];
        half.head.push(node("Cast", &["scores"], "logits").with(Attribute::from_int("to", DataType::Float16 as i64)));
        half.outputs = vec!["logits"];

        let mut angles = bare();
        angles.head.push(node("Tanh", &["scores"], "angles"));
        angles.outputs = vec!["angles"];
        vec![
            trial("probabilities in per cent", "scores: 5 by softmax, layer active", self.look(clipped)),
            trial("background dropped after the softmax", "foreground: 4 by given, layer active", self.look(dropped)),
            trial("float16 scores called logits", "scores: 5 by softmax, layer active", self.look(half)),
            trial(
                "angles",
                "its output 'angles' [N,5] looks like a value, points, boxes or an embedding, not like the scores of \
                 classes; --output angles explains it as 5 classes",
                self.look(angles),
            ),
        ]
    }

    fn other_tools(&self) -> Vec<Trial> {
        let labels = |path: &str| {
            let report: Value = serde_json::from_str(&stdout(&whycam(&["inspect", "--json", path]))).unwrap();
            let input = &report["preprocessing"];
            let scale = input["scale"].as_f64().unwrap();
            format!("{} {} {} {scale:.4}", report["labels"], input["colour"], input["fit"])
        };
        let mut zipped = Net::new();
        let names = ["a", "b", "c", "d", "e"].map(|name| name.as_bytes().to_vec().into());
        let keys = Attribute { strings: names.to_vec(), ..Attribute::from_string("classlabels_strings", "") };
        let keys = Attribute { s: None, r#type: Some(8), ..keys };
        let zip = Node { domain: Some("ai.onnx.ml".into()), ..node("ZipMap", &["probabilities"], "loss") };
        zipped.head.push(zip.with(keys));
        zipped.outputs = vec!["loss"];
        vec![
            trial("Ultralytics", r#"["a","b","c","d","it's"] "RGB" "crop" 0.0039"#, {
                labels(&self.write(Net::new().graph(), |model| {
                    model.set_metadata("task", "classify");
                    model.set_metadata("names", "{0: 'a', 1: 'b', 2: 'c', 3: 'd', 4: \"it's\"}");
                    model.set_metadata("imgsz", "[16, 16]");
                }))
            }),
            trial(
                "Ultralytics, another task",
                "it is an Ultralytics model for the task 'detect'; whycam explains those for 'classify'",
                {
                    look_at(&self.write(Net::new().graph(), |model| {
                        model.set_metadata("task", "detect");
                        model.set_metadata("names", "{0: 'a'}");
                    }))
                },
            ),
            trial("Windows ML", r#"[] "BGR" "crop" 1.0000"#, {
                labels(&self.write(Net::new().graph(), |model| {
                    model.set_metadata("Image.BitmapPixelFormat", "Bgr8");
                    model.set_metadata("Image.NominalPixelRange", "NominalRange_0_255");
                }))
            }),
            trial("labels of a ZipMap", r#"["a","b","c","d","e"] "RGB" "stretch" 0.0039"#, {
                labels(&self.write(zipped.graph(), |_| ()))
            }),
        ]
    }

    fn forms(&self) -> Vec<Trial> {
        let mut fused = Net::new().graph();
        fused.node.remove(1);
        fused.node[0].op_type = Some("FusedConv".into());
        fused.node[0].domain = Some("com.microsoft".into());
        fused.node[0].output = vec!["active".into()];
        fused.node[0].attribute.push(Attribute::from_string("activation", "Relu"));

        let mut open = Net::new();
        open.dims = vec![1, 3, -1, -1];
        open.head = vec![
            node("AveragePool", &["active"], "tiles")
                .with(Attribute::from_ints("kernel_shape", &[8, 8]))
                .with(Attribute::from_ints("strides", &[8, 8])),
            node("Reshape", &["tiles", "flat_shape"], "flat"),
            node("MatMul", &["flat", "big"], "scores"),
            node("Softmax", &["scores"], "probabilities"),
        ];
        let weights: Vec<f32> = (0..8 * 144 * 4).map(|at| (at % 13) as f32 * 0.01).collect();
        open.constants =
            vec![Tensor::from_i64s("flat_shape", &[2], &[-1, 1152]), Tensor::from_f32s("big", &[1152, 4], &weights)];
        let open = self.write(open.graph(), |_| ());
        vec![
            trial("fused by ONNX Runtime", "scores: 5 by softmax, layer active", look_at(&self.write(fused, |_| ()))),
            trial("a size left open", "scores: 4 by softmax, layer active", look_at(&open)),
            trial("the same, explained twice", "4 and 4 classes", {
                let classes = || self.explain(&open, &[])["top"].as_array().map_or(0, Vec::len);
                format!("{} and {} classes", classes(), classes())
            }),
            trial("the same, given", "96x96", {
                let report = stdout(&whycam(&["inspect", "--json", "--input-size", "96x96", &open]));
                let report: Value = serde_json::from_str(&report).unwrap();
                format!("{}x{}", report["preprocessing"]["width"], report["preprocessing"]["height"])
            }),
            trial("--class top9 of five classes", "5", {
                let path = self.write(Net::new().graph(), |_| ());
                let line = self.explain(&path, &["--class", "top9"]);
                line["others"].as_array().map_or(line.to_string(), |others| (1 + others.len()).to_string())
            }),
        ]
    }

    fn refusals(&self) -> Vec<Trial> {
        let mut sign = bare();
        sign.head.insert(1, node("Sign", &["flat"], "signs"));
        sign.head[2].input[0] = "signs".into();
        let sign = self.write(sign.graph(), |_| ());
        let ort = self.folder.file("net.ort.onnx");
        fs::write(&ort, b"\x18\0\0\0ORTM and more").unwrap();
        let mut blocked = Net::new().graph();
        blocked.node[0].domain = Some("com.microsoft.nchwc".into());
        vec![
            trial(
                "a sign on the way",
                "its gradient is zero, so that scores has none by the layer active; choose a method that takes no gradient: \
                 eigen-cam, ablation-cam, recipro-cam, score-cam",
                {
                    let photo = picture(&self.folder, "photo.png", 40, 40);
                    let text = stderr(&whycam(&["explain", &photo, "--json", "-", "--model", &sign]));
                    let said = text.lines().find_map(|line| line.split_once("(node signs): ")).unwrap_or_default().1;
                    said.split_once(" (--layer").map_or(said, |(said, _)| said).to_owned()
                },
            ),
            trial(
                "an .ort file",
                "not an ONNX model: it is in ONNX Runtime's own .ort format, which drops what a gradient needs; give the \
                 .onnx file that it was converted from",
                look_at(&ort).rsplit_once(".onnx: ").map_or_else(|| look_at(&ort), |(_, said)| said.to_owned()),
            ),
            trial(
                "optimised for one processor",
                "ONNX Runtime optimised it for one kind of processor (com.microsoft.nchwc, first at conv), which leaves no \
                 rows and columns; give the model that it was made from, or save it at the level 'extended'",
                look_at(&self.write(blocked, |_| ())),
            ),
        ]
    }
}
