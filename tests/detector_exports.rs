//! Detectors as exporters write them: what the graph, the metadata and the labels say is read, and guesses are told.

use std::fs;

use serde_json::Value;
use whycam::onnx::proto::{Attribute, Node, Tensor, ValueInfo};
use whycam::onnx::{DataType, OnnxModel};

use crate::support::{Folder, picture, reference, stderr, stdout, whycam};

/// A reference detector that takes pixels from 0 to 255 of a type and divides them itself.
fn dividing(reference_file: &str, kind: DataType, folder: &Folder) -> String {
    let mut model = OnnxModel::read(&reference("detectors").join(reference_file)).unwrap();
    let graph = model.graph_mut();
    let images = graph.input[0].name().to_owned();
    graph.input = vec![ValueInfo::tensor("pixels", kind, &[1, 3, 96, 128])];
    let to_float = Node::new("Cast", "to_float", &["pixels"], &["levels"]).with(Attribute::from_int("to", 1));
    let divided = Node::new("Div", "divided", &["levels", "most"], &[&images]);
    graph.node.splice(0..0, [to_float, divided]);
    graph.initializer.push(Tensor::from_f32s("most", &[], &[255.0]));
    let path = folder.0.join(format!("{kind:?}-{reference_file}"));
    fs::write(&path, model.to_bytes()).unwrap();
    path.display().to_string()
}

#[test]
fn pixels_that_a_detector_scales_itself_are_not_scaled_before() {
    let folder = Folder::new("divided");
    let image = picture(&folder, "whole.png", 128, 96);
    let found = |model: &str| {
        let output = whycam(&["explain", &image, "--model", model, "--json", "-"]);
        assert!(output.status.success(), "{}", stderr(&output));
        let line: Value = serde_json::from_str(&stdout(&output)).unwrap();
        let probability = |of: &Value| of["probability"].as_f64().unwrap();
        line["detections"].as_array().unwrap().iter().map(probability).collect::<Vec<f64>>()
    };
    // One with the metadata of Ultralytics, and one with none.
    for file in ["yolov8.onnx", "yolov8_rows.onnx"] {
        let expected = found(&reference("detectors").join(file).display().to_string());
        assert!(!expected.is_empty(), "{file}");
        for kind in [DataType::Uint8, DataType::Float] {
            let found = found(&dividing(file, kind, &folder));
            let near = found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4);
            assert!(found.len() == expected.len() && near, "{kind:?} {file}: {found:?}, not {expected:?}");
        }
    }
}

/// The distances and scores of each level, as nets for small devices have them.
#[test]
fn heads_whose_boxes_are_not_decoded_are_refused() {
    let folder = Folder::new("heads");
    let mut model = OnnxModel::read(&reference("detectors/yolov8.onnx")).unwrap();
    let maps = ["/Concat_output_0", "/Concat_1_output_0", "/Concat_2_output_0"];
    model.graph_mut().output = maps.into_iter().map(ValueInfo::untyped).collect();
    model.take_metadata("names");
    let path = folder.0.join("heads.onnx");
    fs::write(&path, model.to_bytes()).unwrap();
    let output = whycam(&["inspect", &path.display().to_string()]);
    assert!(stderr(&output).contains("boxes are not decoded"), "{}", stderr(&output));
    // One that says what it is, is.
    let output = whycam(&["inspect", &path.display().to_string(), "--task", "segment"]);
    assert!(output.status.success(), "{}", stderr(&output));
}

/// The maps of heads at a single stride.
#[test]
fn the_heads_of_centernet_and_yolov2_are_refused() {
    let folder = Folder::new("single-heads");
    let refused = |name: &str, outputs: &[(&str, i64)]| {
        let mut model = OnnxModel::read(&reference("detectors/yolov8.onnx")).unwrap();
        model.take_metadata("names");
        let graph = model.graph_mut();
        // The coarsest map of the head has 3x4 cells and 39 channels.
        for (output, channels) in outputs {
            let weights = format!("{output}.weights");
            let count = usize::try_from(channels * 39).unwrap();
            graph.initializer.push(Tensor::from_f32s(&weights, &[*channels, 39, 1, 1], &vec![0.01; count]));
            graph.node.push(Node::new("Conv", *output, &["/Concat_2_output_0", &weights], &[output]));
        }
        graph.output = outputs.iter().map(|(output, _)| ValueInfo::untyped(output)).collect();
        let path = folder.0.join(name);
        fs::write(&path, model.to_bytes()).unwrap();
        let path = path.display().to_string();
        let printed = stderr(&whycam(&["inspect", &path]));
        assert!(whycam(&["inspect", &path, "--task", "segment", "--output", outputs[0].0]).status.success());
        printed.contains("whose boxes are not decoded")
    };
    assert!(refused("centernet.onnx", &[("hm", 7), ("wh", 2), ("reg", 2)]));
    assert!(refused("yolov2.onnx", &[("grid", 125)]));
    assert!(!refused("segments.onnx", &[("mask", 21)]));
}

/// Distributions and logits of all levels in one tensor, as nets for small devices have them.
#[test]
fn distributions_that_are_not_decoded_are_no_offsets() {
    let folder = Folder::new("distributions");
    let mut model = OnnxModel::read(&reference("detectors/yolov8.onnx")).unwrap();
    model.graph_mut().output = vec![ValueInfo::untyped("/Concat_3_output_0")];
    model.take_metadata("names");
    let path = folder.0.join("joined.onnx");
    fs::write(&path, model.to_bytes()).unwrap();
    let output = whycam(&["inspect", &path.display().to_string()]);
    assert!(stderr(&output).contains("come straight from a layer"), "{}", stderr(&output));
}

/// Names that say less than the numbers, and queries whose boxes are in pixels.
#[test]
fn boxes_and_scores_are_told_by_their_numbers_before_their_names() {
    let folder = Folder::new("names");
    let image = picture(&folder, "whole.png", 128, 96);
    let found = |model: &OnnxModel| {
        let path = folder.0.join("named.onnx");
        fs::write(&path, model.to_bytes()).unwrap();
        let explain = ["explain", &image, "--threshold", "0.1", "--json", "-", "--force", "--model"];
        let output = whycam(&[&explain[..], &[path.to_str().unwrap()]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let line: Value = serde_json::from_str(&stdout(&output)).unwrap();
        let of = |found: &Value| (found["label"].clone(), found["box"]["x"].as_f64().unwrap().round());
        line["detections"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    let mut dense = OnnxModel::read(&reference("detectors/background_last.onnx")).unwrap();
    let expected = found(&dense);
    dense.rename_tensor("scores", "detection_scores");
    dense.rename_tensor("boxes", "coordinates");
    assert!(!expected.is_empty() && found(&dense) == expected);
    let mut queries = OnnxModel::read(&reference("detectors/detr.onnx")).unwrap();
    let expected = found(&queries);
    queries.rename_tensor("pred_boxes", "shares");
    let graph = queries.graph_mut();
    graph.initializer.push(Tensor::from_f32s("sides", &[4], &[128.0, 96.0, 128.0, 96.0]));
    graph.node.push(Node::new("Mul", "scaled", &["shares", "sides"], &["pred_boxes"]));
    graph.output = ["logits", "pred_boxes"].map(ValueInfo::untyped).to_vec();
    assert!(!expected.is_empty() && found(&queries) == expected, "{expected:?}");
}

#[test]
fn suppression_by_tensorrt_is_refused_with_what_to_do() {
    let folder = Folder::new("tensorrt");
    let mut model = OnnxModel::read(&reference("detectors/ppyoloe.onnx")).unwrap();
    let given = ["num_dets", "det_boxes", "det_scores", "det_classes"];
    let graph = model.graph_mut();
    graph.node.push(Node::new("EfficientNMS_TRT", "suppressed", &["boxes", "scores"], &given));
    graph.output = given.into_iter().map(ValueInfo::untyped).collect();
    let path = folder.0.join("suppressed.onnx");
    fs::write(&path, model.to_bytes()).unwrap();
    let output = whycam(&["inspect", &path.display().to_string()]);
    let printed = stderr(&output);
    assert!(!output.status.success() && printed.contains("without the ops of TensorRT"), "{printed}");
}

/// A net whose last class, the likeliest on noise, is no object.
#[test]
fn the_class_of_no_object_is_guessed_aloud_named_by_labels_or_chosen() {
    let folder = Folder::new("no-object");
    let model = reference("detectors/background_last.onnx").display().to_string();
    let image = picture(&folder, "whole.png", 128, 96);
    let found = |more: &[&str]| {
        let output =
            whycam(&[&["explain", &image, "--model", &model, "--threshold", "0.1", "--json", "-"], more].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let line: Value = serde_json::from_str(&stdout(&output)).unwrap();
        (line["detections"].as_array().unwrap().clone(), stderr(&output))
    };
    let (guessed, printed) = found(&[]);
    assert!(printed.contains("the last class stands for \"no object\", guessed since it is the likelier"));
    assert!(!guessed.is_empty() && guessed.iter().all(|of| of["class_index"].as_u64().unwrap() < 3), "{guessed:?}");
    let (chosen, printed) = found(&["--background", "last"]);
    assert!(chosen == guessed && !printed.contains("no object"), "{printed}");
    let labels = folder.file("labels.txt");
    fs::write(&labels, "cup\nspoon\nplate\nBACKGROUND\n").unwrap();
    let (labelled, printed) = found(&["--labels", &labels]);
    assert!(!printed.contains("no object"), "{printed}");
    assert_eq!(labelled.len(), guessed.len());
    for (labelled, guessed) in labelled.iter().zip(&guessed) {
        let class = guessed["class_index"].as_u64().unwrap() as usize;
        assert_eq!((&labelled["box"], &labelled["label"]), (&guessed["box"], &["cup", "spoon", "plate"][class].into()));
    }
    let (first, _) = found(&["--background", "first"]);
    let sigmoid = reference("detectors/yolov8.onnx").display().to_string();
    let output = whycam(&["inspect", &sigmoid, "--background", "last"]);
    assert!(stderr(&output).contains("leave out --background"), "{}", stderr(&output));
    let column = |of: &Value| of["detection_index"].as_u64().unwrap() % 4;
    assert!(guessed.iter().all(|of| of["class_index"] == column(of)), "{guessed:?}");
    assert!(!first.is_empty() && first.iter().all(|of| of["class_index"] == column(of) - 1), "{first:?}");
}

/// Metadata that say another size than that of the anchors in the graph, and names that are no list of texts.
#[test]
fn metadata_that_do_not_fit_are_told_with_the_option_to_use() {
    let folder = Folder::new("metadata");
    let mut model = OnnxModel::read(&reference("detectors/yolov8.onnx")).unwrap();
    model.graph_mut().input = vec![ValueInfo::tensor("images", DataType::Float, &[1, 3, -1, -1])];
    model.graph_mut().value_info.clear();
    let path = folder.0.join("sized.onnx");
    let mut written = |key: &str, value: &str| {
        model.set_metadata(key, value);
        fs::write(&path, model.to_bytes()).unwrap();
    };
    written("imgsz", "[64, 64]");
    let image = picture(&folder, "whole.png", 128, 96);
    let explain = |more: &[&str]| {
        whycam(&[&["explain", &image, "--json", "-", "--model", path.to_str().unwrap()], more].concat())
    };
    let printed = stderr(&explain(&[]));
    assert!(printed.contains("with pictures of 64x64") && printed.contains("--input-size chooses"), "{printed}");
    assert!(explain(&["--input-size", "128x96"]).status.success());
    written("imgsz", "[96, 128]");
    written("names", "cup, spoon");
    let output = explain(&[]);
    assert!(output.status.success() && stderr(&output).contains("--labels names them"), "{}", stderr(&output));
}
