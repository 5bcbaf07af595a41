//! Detectors that are odd, damaged or not what they seem: a clear error or a bounded result.

use std::fs;

use serde_json::Value;
use whycam::onnx::proto::{Attribute, Graph, Node, Tensor, ValueInfo};
use whycam::onnx::{DataType, OnnxModel, WORKING_OPSET};

use crate::support::{Folder, Random, picture, stderr, stdout, whycam};

/// A detector of one convolution in the layout of `YOLOv8`: `image` `[1,3,side,side]` to `boxes` `[1,4+K,A]`.
struct Net {
    side: i64,
    /// Pixels from cell to cell.
    stride: i64,
    classes: i64,
    /// What the four numbers of each box are multiplied by; without them, the boxes are raw.
    sides: Option<[f32; 4]>,
    /// Whether raw numbers follow the scores, as those of masks do.
    further: bool,
    /// The dilation of a block of 3x3 cells before a head of 3x3 cells; without it, the head sees the picture.
    block: Option<i64>,
    outputs: Vec<&'static str>,
}

impl Net {
    fn new() -> Self {
        Self {
            side: 32,
            stride: 4,
            classes: 3,
            sides: Some([1.0, 1.0, 8.0, 8.0]),
            further: false,
            block: None,
            outputs: vec!["found"],
        }
    }

    fn write(self, folder: &Folder) -> String {
        let Self { side, stride, classes, sides, further, block, outputs } = self;
        let cells = (side / stride) * (side / stride);
        let strided = |name: &str, inputs: &[&str]| {
            Node::new("Conv", name, inputs, &[name]).with(Attribute::from_ints("strides", &[stride, stride]))
        };
        let same = |name: &str, inputs: &[&str], dilation: i64| {
            let node = Node::new("Conv", name, inputs, &[name]);
            let node = node.with(Attribute::from_ints("pads", &[dilation; 4]));
            node.with(Attribute::from_ints("dilations", &[dilation, dilation]))
        };
        let conv = |name: &str, weights: &str, bias: &str| match block {
            Some(_) => same(name, &["block.relu", weights, bias], 1),
            None => strided(name, &["image", weights, bias]),
        };
        let along_cells = |from: &str, to: &str| Node::new("Reshape", to, &[from, "flat"], &[to]);
        let concat = |to: &str| {
            let parts = if further { &["boxes", "scores", "rows"][..] } else { &["boxes", "scores"] };
            let node = Node::new("Concat", to, parts, &[to]);
            node.with(Attribute::from_int("axis", 1))
        };
        let relu = |name: &str| {
            let output = format!("{name}.relu");
            Node::new("Relu", output.as_str(), &[name], &[&output])
        };
        let mut node = block.map_or(Vec::new(), |dilation| {
            vec![
                strided("stem", &["image", "s"]),
                relu("stem"),
                same("block", &["stem.relu", "b"], dilation),
                relu("block"),
            ]
        });
        node.extend([
            conv("sides", "w", "wb"),
            conv("logits", "v", "vb"),
            along_cells("sides", "raw"),
            along_cells("logits", "rows"),
            Node::new("Sigmoid", "scores", &["rows"], &["scores"]),
        ]);
        match sides {
            Some(_) => node.push(Node::new("Mul", "boxes", &["raw", "scale"], &["boxes"])),
            None => node.push(Node::new("Identity", "boxes", &["raw"], &["boxes"])),
        }
        node.extend(outputs.iter().map(|output| concat(output)));
        let weights = |name: &str, dims: &[i64]| {
            let count = dims.iter().product::<i64>() as usize;
            Tensor::from_f32s(name, dims, &Random(count as u64).many(count))
        };
        // Each box has its centre in the picture.
        let middle = side as f32 / 2.0;
        let (channels, kernel) = if block.is_some() { (8, 3) } else { (3, stride) };
        let initializer = vec![
            weights("s", &[8, 3, stride, stride]),
            weights("b", &[8, 8, 3, 3]),
            weights("w", &[4, channels, kernel, kernel]),
            weights("v", &[classes, channels, kernel, kernel]),
            Tensor::from_f32s("wb", &[4], &[middle, middle, 1.0, 1.0]),
            weights("vb", &[classes]),
            Tensor::from_f32s("scale", &[1, 4, 1], &sides.unwrap_or_default()),
            Tensor::from_i64s("flat", &[3], &[1, -1, cells]),
        ];
        let graph = Graph {
            name: Some("detector".into()),
            node,
            initializer,
            input: vec![ValueInfo::tensor("image", DataType::Float, &[1, 3, side, side])],
            output: outputs.into_iter().map(ValueInfo::untyped).collect(),
            ..Graph::default()
        };
        let path = folder.0.join("detector.onnx");
        fs::write(&path, OnnxModel::from_graph("detector", WORKING_OPSET, graph).to_bytes()).unwrap();
        path.display().to_string()
    }
}

/// A net for so small a picture that it has more classes than anchors.
#[test]
fn the_axis_of_the_anchors_is_that_of_the_cells_of_the_last_layer() {
    let folder = Folder::new("few-anchors");
    let path = Net { side: 32, stride: 16, classes: 12, ..Net::new() }.write(&folder);
    let expected = explained(&path, &folder, &["--threshold", "0"]).0["detections"].clone();
    assert!(expected.as_array().unwrap().len() > 1, "{expected}");
    let inspected = whycam(&["inspect", &path]);
    assert!(stdout(&inspected).contains("found [1, 16, 4]: centres and sizes"), "{}", stdout(&inspected));
    // The same with a row for each anchor.
    let mut model = OnnxModel::read(path.as_ref()).unwrap();
    let graph = model.graph_mut();
    let node = Node::new("Transpose", "turned", &["found"], &["rows_found"]);
    graph.node.push(node.with(Attribute::from_ints("perm", &[0, 2, 1])));
    graph.output = vec![ValueInfo::untyped("rows_found")];
    fs::write(&path, model.to_bytes()).unwrap();
    assert_eq!(explained(&path, &folder, &["--threshold", "0"]).0["detections"], expected);
}

/// The JSON of a picture explained with a detector, and what is printed beside it.
fn explained(model: &str, folder: &Folder, more: &[&str]) -> (Value, String) {
    let image = picture(folder, "shades.png", 48, 40);
    let arguments = [&["explain", &image, "--model", model, "--preset", "unit", "--json", "-"], more].concat();
    let output = whycam(&arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    (serde_json::from_str(&stdout(&output)).unwrap(), stderr(&output))
}

#[test]
fn a_plain_detector_is_found_and_its_detections_have_boxes_labels_and_maps() {
    let folder = Folder::new("detector");
    let (line, _) = explained(&Net::new().write(&folder), &folder, &["--threshold", "0.3"]);
    assert_eq!((&line["task"], &line["sure"]), (&"detect".into(), &Value::Null));
    let found = line["detections"].as_array().unwrap();
    assert!((1..=16).contains(&found.len()), "{} detections", found.len());
    assert_eq!((&found[0]["label"], &found[0]["probability"]), (&line["label"], &line["probability"]));
    let probability = |of: &Value| of["probability"].as_f64().unwrap();
    assert!(found.windows(2).all(|pair| probability(&pair[0]) >= probability(&pair[1])));
    assert!(found.iter().all(|of| of["map"]["evidence"].is_boolean() && of["box"]["width"].as_f64().unwrap() > 0.0));
}

#[test]
fn a_block_that_looks_far_around_a_box_lies_before_the_input_of_the_head() {
    for (dilation, layer) in [(1, "stem.relu"), (5, "block.relu")] {
        let folder = Folder::new("block");
        let (line, printed) =
            explained(&Net { block: Some(dilation), ..Net::new() }.write(&folder), &folder, &["--verbose"]);
        assert!(printed.contains(layer), "dilation {dilation}: {printed}");
        assert_eq!(line["map"]["height"], 8);
    }
}

#[test]
fn a_detector_without_a_batch_axis_finds_the_same() {
    let folder = Folder::new("no-batch");
    let path = Net::new().write(&folder);
    let (expected, _) = explained(&path, &folder, &[]);
    let mut model = OnnxModel::read(path.as_ref()).unwrap();
    model.rename_tensor("image", "batched");
    model.rename_tensor("found", "batched_found");
    let graph = model.graph_mut();
    graph.initializer.push(Tensor::from_i64s("first", &[1], &[0]));
    graph.node.insert(0, Node::new("Unsqueeze", "batch", &["image", "first"], &["batched"]));
    graph.node.push(Node::new("Squeeze", "no_batch", &["batched_found", "first"], &["found"]));
    graph.input = vec![ValueInfo::tensor("image", DataType::Float, &[3, 32, 32])];
    graph.output = vec![ValueInfo::tensor("found", DataType::Float, &[7, 64])];
    fs::write(&path, model.to_bytes()).unwrap();
    let (found, said) = explained(&path, &folder, &[]);
    assert!(said.contains("no batch axis"), "{said}");
    // The map is of another layer: in so small a net, the input with its batch axis comes last before the head.
    let boxes = |line: &Value| -> Vec<Value> {
        let found = line["detections"].as_array().unwrap().iter();
        found.map(|of| serde_json::json!([of["box"], of["label"], of["probability"], of["logit"]])).collect()
    };
    assert_eq!(boxes(&found), boxes(&expected));
}

#[test]
fn only_detections_of_a_named_class_count() {
    let folder = Folder::new("detector-class");
    let (line, _) = explained(&Net::new().write(&folder), &folder, &["--threshold", "0", "--class", "1"]);
    let found = line["detections"].as_array().unwrap();
    assert!(!found.is_empty() && found.iter().all(|of| of["class_index"] == 1), "{found:?}");
}

#[test]
fn ranks_of_classes_are_no_choice_of_detections() {
    let folder = Folder::new("detector-ranks");
    let (model, image) = (Net::new().write(&folder), picture(&folder, "shades.png", 48, 40));
    let output = whycam(&["explain", &image, "--model", &model, "--json", "-", "--class", "top3"]);
    assert!(!output.status.success() && stderr(&output).contains("of detections, name classes"), "{}", stderr(&output));
}

#[test]
fn objects_of_a_named_class_alone_are_measured() {
    let folder = Folder::new("detector-class-measured");
    let model = Net::new().write(&folder);
    let found_of = |class: &str| {
        let (line, _) = explained(&model, &folder, &["--threshold", "0.6", "--class", class]);
        line["detections"].as_array().unwrap().len()
    };
    let measured_of = |class: &str| {
        let picture = folder.file("shades.png");
        let named =
            ["evaluate", &picture, "--model", &model, "--preset", "unit", "--threshold", "0.6", "--class", class];
        let output = whycam(&[&named[..], &["--json", "-"]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let line: Value = serde_json::from_str(&stdout(&output)).unwrap();
        line["methods"][0]["detections"].as_u64().unwrap()
    };
    let found = ["0", "1", "2"].map(found_of);
    assert!(found.iter().any(|count| *count != found[0]), "{found:?}");
    assert_eq!(["0", "1", "2"].map(measured_of), found.map(|count| count.min(4) as u64));
    let pictures = folder.file("pictures");
    fs::create_dir(&pictures).unwrap();
    for name in ["1.png", "2.png", "3.png", "4.png"] {
        fs::copy(folder.file("shades.png"), folder.file(&format!("pictures/{name}"))).unwrap();
    }
    let sampled = |sample: &str| whycam(&["evaluate", &pictures, "--model", &model, "--sample", sample, "--json", "-"]);
    let line: Value = serde_json::from_str(&stdout(&sampled("3"))).unwrap();
    assert_eq!(line["pictures"], 3);
    assert!(stderr(&sampled("0")).contains("--sample 0 takes none"), "{}", stderr(&sampled("0")));
    let photos = folder.file("classes");
    fs::create_dir_all(folder.file("classes/roses")).unwrap();
    fs::copy(folder.file("shades.png"), folder.file("classes/roses/1.png")).unwrap();
    let output = whycam(&["evaluate", &photos, "--class", "roses"]);
    assert!(!output.status.success() && stderr(&output).contains("--class is for detectors"), "{}", stderr(&output));
}

#[test]
fn the_best_box_below_the_threshold_is_a_near_miss_and_is_explained() {
    let folder = Folder::new("detector-near-miss");
    let (line, _) = explained(&Net::new().write(&folder), &folder, &["--threshold", "1"]);
    assert_eq!((&line["detections"], &line["label"]), (&Value::Array(vec![]), &Value::Null));
    assert!(line["near_miss"]["probability"].as_f64().unwrap() > 0.05, "{line}");
    assert!(line["map"]["max"].as_f64().unwrap() > 0.0);
}

#[test]
fn boxes_that_are_no_numbers_or_have_no_area_are_none() {
    for sides in [[f32::NAN; 4], [1.0, 1.0, 0.0, 8.0], [f32::INFINITY, 1.0, 8.0, 8.0]] {
        let folder = Folder::new("detector-no-box");
        let net = Net { sides: Some(sides), ..Net::new() };
        let (line, _) = explained(&net.write(&folder), &folder, &["--threshold", "0"]);
        assert_eq!(line["detections"], Value::Array(vec![]), "{sides:?}");
        assert_eq!((&line["map"]["evidence"], line.get("near_miss")), (&false.into(), None), "{sides:?}");
    }
}

#[test]
fn a_hundred_thousand_boxes_give_a_bounded_result() {
    let folder = Folder::new("detector-many");
    let net = Net { side: 320, stride: 1, ..Net::new() };
    let (line, _) =
        explained(&net.write(&folder), &folder, &["--threshold", "0", "--overlap", "1", "--detections", "20"]);
    assert_eq!(line["detections"].as_array().unwrap().len(), 20);
}

#[test]
fn labels_that_do_not_fit_are_an_error() {
    let folder = Folder::new("detector-labels");
    let (model, image) = (Net { classes: 11, ..Net::new() }.write(&folder), picture(&folder, "shades.png", 48, 40));
    let output = whycam(&["explain", &image, "--model", &model, "--labels", "coco", "--json", "-"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("11 classes, but there are 80 labels"), "{}", stderr(&output));
}

#[test]
fn of_two_outputs_that_could_be_meant_one_is_taken_and_said() {
    let folder = Folder::new("detector-two");
    let model = Net { outputs: vec!["first", "second"], ..Net::new() }.write(&folder);
    let (_, told) = explained(&model, &folder, &[]);
    assert!(told.contains("output 'first' is explained") && told.contains("second; --output"), "{told}");
    let (_, told) = explained(&model, &folder, &["--output", "second"]);
    assert!(!told.contains("is explained;"), "{told}");
}

#[test]
fn boxes_in_an_unknown_form_are_refused_by_name() {
    let folder = Folder::new("detector-raw");
    let (model, image) = (Net { sides: None, ..Net::new() }.write(&folder), picture(&folder, "shades.png", 48, 40));
    let output = whycam(&["explain", &image, "--model", &model, "--json", "-"]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(told.contains("found [1, 7, 64]") && told.contains("boxes decoded"), "{told}");
}

#[test]
fn a_model_that_is_no_detector_is_not_taken_for_one() {
    let output = whycam(&["inspect", "flowers", "--task", "detect"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no layout of a detector"), "{}", stderr(&output));
}

/// Ultralytics' models of masks, keypoints and rotated boxes have such columns.
#[test]
fn boxes_with_further_numbers_than_scores_are_refused() {
    let folder = Folder::new("detector-further");
    let model = Net { further: true, ..Net::new() }.write(&folder);
    let output = whycam(&["explain", &picture(&folder, "shades.png", 48, 40), "--model", &model, "--preset", "unit"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("found [1, 10, 64] holds boxes with scores and further numbers"), "{text}");
}

#[test]
fn labels_for_one_class_less_are_no_objectness() {
    let folder = Folder::new("detector-labels");
    let model = Net::new().write(&folder);
    fs::write(folder.file("labels.txt"), "cup\nkey\n").unwrap();
    let image = picture(&folder, "shades.png", 48, 40);
    let output = whycam(&["explain", &image, "--model", &model, "--labels", &folder.file("labels.txt")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("it has 3 classes, but there are 2 labels"), "{}", stderr(&output));
}
