//! Detectors whose outputs have other axes, or whose boxes are other numbers: the same is found.

use std::fs;

use serde_json::Value;
use whycam::onnx::proto::{Attribute, Node, Tensor, ValueInfo};
use whycam::onnx::{OnnxModel, Tensors};
use whycam::session;

use crate::support::{Folder, picture, reference, stderr, stdout, whycam};

/// A reference detector that is given further nodes and other outputs.
struct Export {
    model: OnnxModel,
    folder: Folder,
    image: String,
}

impl Export {
    fn of(file: &str, folder: &str) -> Self {
        let folder = Folder::new(folder);
        let image = picture(&folder, "whole.png", 128, 96);
        Self { model: OnnxModel::read(&reference("detectors").join(file)).unwrap(), folder, image }
    }

    /// `YOLOv8` with centres and sizes `[1,A,4]` in `centres`, corners in `corners` and the scores `[1,A,7]` in `classes`.
    fn yolo(folder: &str) -> Self {
        let mut export = Self::of("yolov8.onnx", folder);
        export.node("Transpose", &["output0"], "rows", &[Attribute::from_ints("perm", &[0, 2, 1])]);
        export.columns("rows", 0, 4, "centres");
        export.columns("rows", 4, 11, "classes");
        export.corners("centres", "corners");
        export
    }

    fn node(&mut self, op: &str, inputs: &[&str], output: &str, attributes: &[Attribute]) {
        let node = Node::new(op, format!("export.{output}"), inputs, &[output]);
        let node = attributes.iter().fold(node, |node, attribute| node.with(attribute.clone()));
        self.model.graph_mut().node.push(node);
    }

    /// A node with a list of integers as its second input.
    fn by_integers(&mut self, op: &str, input: &str, integers: &[i64], output: &str, attributes: &[Attribute]) {
        let name = format!("{output}.integers");
        self.model.graph_mut().initializer.push(Tensor::from_i64s(&name, &[integers.len() as i64], integers));
        self.node(op, &[input, &name], output, attributes);
    }

    fn columns(&mut self, input: &str, from: i64, to: i64, output: &str) {
        let names = ["from", "to", "axis"].map(|what| format!("{output}.{what}"));
        for (name, value) in names.iter().zip([from, to, 2]) {
            self.model.graph_mut().initializer.push(Tensor::from_i64s(name, &[1], &[value]));
        }
        self.node("Slice", &[input, &names[0], &names[1], &names[2]], output, &[]);
    }

    /// The corners of boxes of centres and sizes; the upper left ones are `upper_left`, and the sizes `size`.
    fn corners(&mut self, centred: &str, output: &str) {
        self.columns(centred, 0, 2, "middle");
        self.columns(centred, 2, 4, "size");
        self.model.graph_mut().initializer.push(Tensor::from_f32s("half", &[], &[0.5]));
        self.node("Mul", &["size", "half"], "radius", &[]);
        self.node("Sub", &["middle", "radius"], "upper_left", &[]);
        self.node("Add", &["middle", "radius"], "lower_right", &[]);
        self.node("Concat", &["upper_left", "lower_right"], output, &[Attribute::from_int("axis", 2)]);
    }

    /// The model with these outputs, in a file.
    fn path(&mut self, outputs: &[&str]) -> String {
        self.model.graph_mut().output = outputs.iter().map(|name| ValueInfo::untyped(name)).collect();
        let path = self.folder.file(&format!("{}.onnx", outputs.join("-")));
        fs::write(&path, self.model.to_bytes()).unwrap();
        path
    }

    /// What is found by the model with these outputs, and what is printed.
    fn found(&mut self, outputs: &[&str], more: &[&str]) -> (Vec<Found>, String) {
        let path = self.path(outputs);
        let explain = ["explain", &self.image, "--threshold", "0.1", "--json", "-", "--model", &path];
        let output = whycam(&[&explain, more].concat());
        assert!(output.status.success(), "{outputs:?}: {}", stderr(&output));
        let line: Value = serde_json::from_str(&stdout(&output)).unwrap();
        let found = line["detections"].as_array().unwrap().iter().map(Found::new).collect();
        (found, stderr(&output))
    }
}

#[derive(Debug)]
struct Found {
    class: u64,
    numbers: Vec<f64>,
}

impl Found {
    fn new(of: &Value) -> Self {
        let sides = ["x", "y", "width", "height"].map(|side| &of["box"][side]);
        let numbers = sides.into_iter().chain([&of["probability"], &of["logit"]]);
        Self {
            class: of["class_index"].as_u64().unwrap(),
            numbers: numbers.map(|number| number.as_f64().unwrap()).collect(),
        }
    }
}

fn check_same(found: &[Found], expected: &[Found], what: &str) {
    let near = |(a, b): (&Found, &Found)| {
        a.class == b.class && a.numbers.iter().zip(&b.numbers).all(|(a, b)| (a - b).abs() < 1e-2)
    };
    let same = !expected.is_empty() && found.len() == expected.len() && found.iter().zip(expected).all(near);
    assert!(same, "{what}: {found:?}, not {expected:?}");
}

#[test]
fn outputs_with_more_axes_or_fewer_are_read() {
    let mut export = Export::yolo("other-axes");
    let (expected, _) = export.found(&["output0"], &[]);
    // As `YOLOv4` is exported.
    export.by_integers("Unsqueeze", "corners", &[2], "boxes", &[]);
    export.by_integers("Squeeze", "rows", &[0], "no_batch", &[]);
    export.by_integers("Unsqueeze", "rows", &[1], "four_axes", &[]);
    let turned = [Attribute::from_ints("perm", &[0, 2, 1])];
    export.node("Transpose", &["centres"], "turned_boxes", &turned);
    export.node("Transpose", &["classes"], "turned_scores", &turned);
    for outputs in [&["boxes", "classes"][..], &["no_batch"], &["four_axes"], &["turned_boxes", "turned_scores"]] {
        check_same(&export.found(outputs, &[]).0, &expected, &outputs.join(", "));
    }
}

#[test]
fn a_score_of_one_class_needs_no_axis() {
    let mut export = Export::yolo("one-class");
    export.columns("classes", 2, 3, "scores");
    export.by_integers("Squeeze", "scores", &[2], "flat", &[]);
    export.model.take_metadata("names");
    let (expected, _) = export.found(&["corners", "scores"], &[]);
    check_same(&export.found(&["corners", "flat"], &[]).0, &expected, "[1,A]");
}

/// A prepared file keeps the outputs of the model as they were.
#[test]
fn a_prepared_detector_keeps_the_axes_of_its_own_outputs() {
    let mut export = Export::yolo("own-axes");
    export.by_integers("Unsqueeze", "corners", &[2], "boxes", &[]);
    let (path, prepared) = (export.path(&["boxes", "classes"]), export.folder.file("prepared.onnx"));
    let output = whycam(&["prepare", &path, "-o", &prepared]);
    assert!(output.status.success(), "{}", stderr(&output));
    let mut model = OnnxModel::read(prepared.as_ref()).unwrap();
    let names: Vec<&str> = model.graph().output.iter().map(ValueInfo::name).collect();
    assert_eq!(names[..2], ["boxes", "classes"]);
    let inputs = [("images", vec![1, 3, 96, 128]), ("detection_index", vec![1, 1])];
    let tensors: Tensors = session::probe(&mut model, &inputs).unwrap();
    assert_eq!((&tensors["boxes"].shape, &tensors["classes"].shape), (&vec![1, 252, 1, 4], &vec![1, 252, 7]));
    assert_eq!(tensors["whycam.boxes"].shape, [1, 252, 4]);
}

#[test]
fn an_objectness_in_an_output_of_its_own_counts() {
    let mut export = Export::of("yolov5.onnx", "objectness");
    let (expected, _) = export.found(&["output0"], &["--preset", "yolo"]);
    export.columns("output0", 0, 4, "boxes");
    export.columns("output0", 4, 5, "objectness");
    export.columns("output0", 5, 12, "scores");
    export.by_integers("Squeeze", "objectness", &[2], "obj_conf", &[]);
    export.by_integers("Squeeze", "objectness", &[0, 2], "centerness", &[]);
    for object in ["objectness", "obj_conf", "centerness"] {
        let (found, printed) = export.found(&["boxes", object, "scores"], &["--preset", "yolo"]);
        check_same(&found, &expected, object);
        assert!(printed.contains(&format!("multiplied by '{object}'")), "{printed}");
    }
    let without = ["--preset", "yolo", "--output", "boxes,scores"];
    let (without, printed) = export.found(&["boxes", "objectness", "scores"], &without);
    assert!(!printed.contains("multiplied") && without[0].numbers[4] > expected[0].numbers[4], "{printed}");
}

#[test]
fn boxes_are_told_by_the_places_of_their_anchors() {
    let mut export = Export::yolo("box-order");
    let (expected, _) = export.found(&["output0"], &[]);
    let axis = [Attribute::from_int("axis", 2)];
    export.by_integers("Gather", "corners", &[1, 0, 3, 2], "y_first", &axis);
    export.node("Concat", &["upper_left", "size"], "sizes", &axis);
    for boxes in ["corners", "centres", "y_first", "sizes"] {
        check_same(&export.found(&[boxes, "classes"], &[]).0, &expected, boxes);
    }
    let axis = [Attribute::from_int("axis", 2)];
    export.node("Concat", &["y_first", "classes"], "joint", &axis);
    check_same(&export.found(&["joint"], &[]).0, &expected, "joint");
}

#[test]
fn a_manifest_holds_the_order_of_boxes_and_a_mistake_in_it_has_a_place() {
    let mut export = Export::yolo("manifest");
    export.model.take_metadata("names");
    let path = export.path(&["corners", "classes"]);
    let input = "[input]\nwidth = 128\nheight = 96\nlayout = \"NCHW\"\ncolour = \"RGB\"\nfit = \"stretch\"\nscale = 1.0\n\
                 mean = [0, 0, 0]\nstd = [255, 255, 255]\n";
    let printed = |order: &str| {
        let manifest = format!("name = \"net\"\nlabels = []\nbox_order = \"{order}\"\n{input}");
        fs::write(path.replace(".onnx", ".toml"), manifest).unwrap();
        let output = whycam(&["inspect", &path]);
        stdout(&output) + &stderr(&output)
    };
    assert!(printed("xywh").contains("upper left corners and sizes"));
    let mistaken = printed("ltwh");
    assert!(mistaken.contains("`xywh`") && mistaken.contains("(line 3)"), "{mistaken}");
}

/// The scores of a softmax without that of no object.
#[test]
fn a_background_may_be_left_out_of_the_scores() {
    let mut export = Export::of("background_last.onnx", "left-out");
    let (expected, _) = export.found(&["boxes", "scores"], &["--background", "last"]);
    export.columns("scores", 0, 3, "objects");
    let (found, printed) = export.found(&["boxes", "objects"], &[]);
    check_same(&found, &expected, "objects");
    assert!(!printed.contains("no object"), "{printed}");
    export.columns("scores", 1, 2, "one");
    let (found, _) = export.found(&["boxes", "one"], &[]);
    let (of_one, _) = export.found(&["boxes", "scores"], &["--background", "last", "--class", "1"]);
    assert_eq!(found.len(), of_one.len());
    for (found, expected) in found.iter().zip(&of_one) {
        assert!((found.numbers[4] - expected.numbers[4]).abs() < 1e-4, "{found:?}, not {expected:?}");
    }
}

/// Chosen boxes have no place, and those of queries neither.
#[test]
fn boxes_without_a_place_are_told_by_their_numbers_or_an_option() {
    let mut export = Export::of("padded_rows.onnx", "chosen-order");
    let rows = export.model.graph().output[0].name().to_owned();
    let (expected, _) = export.found(&[&rows], &[]);
    let axis = [Attribute::from_int("axis", 2)];
    export.by_integers("Gather", &rows, &[1, 0, 3, 2, 4, 5], "y_first", &axis);
    check_same(&export.found(&["y_first"], &["--box-order", "yxyx"]).0, &expected, "rows");

    let mut export = Export::of("detr.onnx", "query-corners");
    let (expected, _) = export.found(&["logits", "pred_boxes"], &[]);
    export.model.rename_tensor("pred_boxes", "centred");
    export.corners("centred", "pred_boxes");
    check_same(&export.found(&["logits", "pred_boxes"], &[]).0, &expected, "queries");
}

/// Scores that are turned and multiplied before the model chooses.
#[test]
fn the_logit_of_a_chosen_score_is_its_own() {
    let mut export = Export::yolo("turned-scores");
    export.node("Mul", &["classes", "half"], "halves", &[]);
    export.by_integers("Reshape", "halves", &[1, -1], "flat", &[]);
    export.model.graph_mut().initializer.push(Tensor::from_i64s("count", &[1], &[20]));
    export.model.graph_mut().initializer.push(Tensor::from_i64s("seven", &[], &[7]));
    let chosen = Node::new("TopK", "export.chosen", &["flat", "count"], &["scores", "entries"]);
    export.model.graph_mut().node.push(chosen);
    export.node("Div", &["entries", "seven"], "anchors", &[]);
    export.node("Mod", &["entries", "seven"], "labels", &[]);
    export.by_integers("Squeeze", "anchors", &[0], "row", &[]);
    export.node("Gather", &["corners", "row"], "boxes", &[Attribute::from_int("axis", 1)]);
    let (found, _) = export.found(&["boxes", "scores", "labels"], &[]);
    assert!(found.len() > 3, "{found:?}");
    for Found { numbers, .. } in found {
        let [probability, logit] = [numbers[4], numbers[5]];
        assert!((0.5 / (1.0 + (-logit).exp()) - probability).abs() < 1e-4, "{logit} for {probability}");
    }
}

/// Offsets from anchors that a model gives beside them, as `EfficientDet` does.
#[test]
fn anchors_in_an_output_are_no_boxes() {
    let mut export = Export::of("yolov8.onnx", "anchors");
    export.columns("/Concat_3_output_0", 0, 4, "unused");
    let turned = [Attribute::from_ints("perm", &[0, 2, 1])];
    export.node("Transpose", &["/Concat_3_output_0"], "all", &turned);
    export.columns("all", 0, 4, "regression");
    export.columns("all", 64, 71, "classification");
    export.model.graph_mut().initializer.push(Tensor::from_f32s("places", &[1, 252, 4], &[0.0; 252 * 4]));
    export.node("Identity", &["places"], "anchors", &[]);
    let path = export.path(&["anchors", "regression", "classification"]);
    let printed = stderr(&whycam(&["inspect", &path]));
    assert!(printed.contains("regression [1, 252, 4] come straight from a layer"), "{printed}");
}
