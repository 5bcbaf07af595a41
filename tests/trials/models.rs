//! Model files. Each is the net of one convolution, in another form.

use std::cell::Cell;
use std::fs;

use serde_json::Value;
use whycam::onnx::proto::{Attribute, Graph, Node, Tensor};
use whycam::onnx::{DataType, OnnxModel, WORKING_OPSET};

use super::Trial;
use crate::support::tiny_net::Net;
use crate::support::{Folder, picture, stderr, stdout, whycam};

pub fn trials() -> Vec<Trial> {
    let files = Files { folder: Folder::new("trials-models"), count: Cell::new(0) };
    [files.quantised(), files.heads(), files.odd_heads(), files.other_tools(), files.forms(), files.refusals()].concat()
}

pub struct Files {
    folder: Folder,
    /// How many were written.
    count: Cell<usize>,
}

pub fn trial(case: &'static str, right: &'static str, got: String) -> Trial {
    Trial { case, right, got }
}

pub fn node(op: &str, inputs: &[&str], output: &str) -> Node {
    Node::new(op, output, inputs, &[output])
}

pub fn scalar(name: &str, value: f32) -> Tensor {
    Tensor::from_f32s(name, &[], &[value])
}

/// A net that ends in bare scores.
pub fn bare() -> Net {
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

impl Files {
    pub fn write(&self, graph: Graph, change: impl FnOnce(&mut OnnxModel)) -> String {
        let mut model = OnnxModel::from_graph("net", WORKING_OPSET, graph);
        model.import("com.microsoft", 1);
        model.import("ai.onnx.ml", 3);
        change(&mut model);
        self.count.set(self.count.get() + 1);
        let path = self.folder.file(&format!("net-{}.onnx", self.count.get()));
        fs::write(&path, model.to_bytes()).unwrap();
        path
    }

    pub fn look(&self, net: Net) -> String {
        look_at(&self.write(net.graph(), |_| ()))
    }

    /// The first line of an explanation.
    pub fn explain(&self, path: &str, options: &[&str]) -> Value {
        let photo = picture(&self.folder, "photo.png", 40, 40);
        let output = whycam(&[&["explain", &photo, "--json", "-", "--quiet", "--model", path], options].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_str(stdout(&output).lines().next().unwrap()).unwrap()
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
                "whycam explains classifiers, embeddings and values, whose output is [N,K], segmenters, and detectors of known layouts; this model gives cells [1, 2048] (a number for \
                 each cell or anchor of a map, no classes); --task and --output choose another reading",
                self.look(cells),
            ),
            trial(
                "the letters of a word",
                "whycam explains classifiers, embeddings and values, whose output is [N,K], segmenters, and detectors of known layouts; this model gives letters [1, 16] (the largest of \
                 [1, 8, 16]: the classes of a sequence or of pixels, not of the picture); --task and --output choose another reading",
                self.look(sequence),
            ),
        ]
    }

    fn odd_heads(&self) -> Vec<Trial> {
        let mut clipped = Net::new();
        clipped.head.push(node("Mul", &["probabilities", "hundred"], "percent"));
        clipped.outputs = vec!["percent"];
        clipped.constants = vec![scalar("hundred", 100.0)];

        let mut written_out = bare();
        written_out.head.extend([
            node("Neg", &["scores"], "negative"),
            node("Exp", &["negative"], "power"),
            node("Add", &["power", "unit"], "sum"),
            node("Div", &["unit", "sum"], "p"),
        ]);
        written_out.outputs = vec!["p"];
        written_out.constants = vec![scalar("unit", 1.0)];

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
            trial("a sigmoid that is written out", "scores: 5 by sigmoid, layer active", self.look(written_out)),
            trial("probabilities in per cent", "scores: 5 by softmax, layer active", self.look(clipped)),
            trial("background dropped after the softmax", "foreground: 4 by given, layer active", self.look(dropped)),
            trial("float16 scores called logits", "scores: 5 by softmax, layer active", self.look(half)),
            trial("angles", "angles: 5 by value, layer active", self.look(angles)),
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
                "it is an Ultralytics model for the task 'segment'; whycam explains those for 'classify', 'detect' and 'semantic'",
                {
                    look_at(&self.write(Net::new().graph(), |model| {
                        model.set_metadata("task", "segment");
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
