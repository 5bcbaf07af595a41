//! The options and outputs of segmenters, embeddings, models of words, and values: JSON, films, further inputs, and the errors.

use whycam::onnx::proto::{Attribute, Node, Tensor, ValueInfo};
use whycam::onnx::{DataType, OnnxModel};
use whycam::{Direction, Explainer, Preset, Reference, Request, cam};

use crate::support::task_case::{Case, near};
use crate::support::{Folder, reference, stderr, stdout, whycam};

#[test]
fn an_embedding_without_references_says_what_it_needs() {
    for name in ["embedding", "features", "dino", "dino_tokens", "clip"] {
        let mut options = Case::named(name).options();
        options.comparison.references.clear();
        let error = Explainer::new(&options, &Request::default()).unwrap_err().to_string();
        assert!(error.contains("--like") && error.contains("--words"), "{name}: {error}");
    }
    let mut options = Case::named("clip_whole").options();
    options.comparison.references.clear();
    let error = Explainer::new(&options, &Request::default()).unwrap_err().to_string();
    assert!(error.contains("--words") && error.contains("--feed"), "{error}");
    let mut options = Case::named("age").options();
    options.comparison.references = vec![Reference::Words("old".into())];
    options.preset = Some(Preset::Unit);
    assert!(Explainer::new(&options, &Request::default()).is_err());
}

/// What `explain` prints of the picture, as JSON.
fn line(model: &str, more: &[&str]) -> serde_json::Value {
    let picture = reference("tasks/input.npy").display().to_string();
    let model = reference("tasks").join(model).display().to_string();
    let output = whycam(&[&["explain", &picture, "--tensor", "--model", &model, "--json", "-"], more].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

#[test]
fn json_has_the_fields_of_each_task() {
    let folder = Folder::new("task-json");
    let maps = folder.file("maps");
    let found = line("unet.onnx", &["--class", "1,3", "--maps", &maps]);
    assert_eq!((&found["task"], &found["class_index"], &found["sure"]), (&"segment".into(), &1.into(), &().into()));
    let segments = found["segments"].as_array().unwrap();
    assert_eq!(segments.len(), 2);
    for (segment, class) in segments.iter().zip([1, 3]) {
        assert_eq!((&segment["class_index"], &segment["map"]["height"]), (&class.into(), &8.into()));
        assert!(segment["share"].as_f64().unwrap() > 0.0);
        assert!(folder.0.join("maps").join(segment["map_file"].as_str().unwrap()).exists());
    }
    let found = line("age.onnx", &["--direction", "down"]);
    assert_eq!(
        (&found["task"], &found["probability"], &found["top"]),
        (&"value".into(), &().into(), &serde_json::json!([]))
    );
    assert_eq!((&found["value"], &found["values"][0]), (&found["logit"], &found["logit"]));
    let like = format!("a={}", reference("tasks/reference-1.npy").display());
    let found = line("embedding.onnx", &["--like", &like]);
    assert_eq!((&found["task"], &found["label"], &found["probability"]), (&"embed".into(), &"a".into(), &().into()));
    let found = line("clip", &["--words", "a red flower, a hand"]);
    let top = found["top"].as_array().unwrap();
    let total: f64 = top.iter().map(|entry| entry["probability"].as_f64().unwrap()).sum();
    assert!(top.len() == 2 && (total - 1.0).abs() < 1e-5, "{top:?}");
}

#[test]
fn a_recording_shows_segments_and_values() {
    let folder = Folder::new("task-films");
    for (model, more) in [("unet.onnx", vec![]), ("pose.onnx", vec!["--class", "0,2"]), ("pose.onnx", vec!["--bar"])] {
        let (model, film) = (reference("tasks").join(model).display().to_string(), folder.file("film.mp4"));
        let fixed = ["demo", "--headless", "--frames", "4", "--force", "--record", &film, "--model", &model];
        let output = whycam(&[&fixed[..], &more].concat());
        assert!(output.status.success(), "{}", stderr(&output));
    }
}

/// Further inputs become constants, by options or by a manifest.
#[test]
fn a_further_input_is_fed() {
    let folder = Folder::new("feed");
    let path = folder.file("scaled.onnx");
    let mut model = OnnxModel::read(&Case::named("age").path()).unwrap();
    let graph = model.graph_mut();
    graph.input.push(ValueInfo::tensor("factor", DataType::Float, &[-1]));
    graph.node.push(Node::new("Mul", "scale", &["output", "factor"], &["age"]));
    graph.output = vec![ValueInfo::untyped("age")];
    std::fs::write(&path, model.to_bytes()).unwrap();
    let picture = reference("tasks/input.npy").display().to_string();
    let explain = |more: &[&str]| {
        let output = whycam(&[&["explain", &picture, "--tensor", "--model", &path, "--json", "-"], more].concat());
        serde_json::from_str::<serde_json::Value>(&stdout(&output)).map_err(|_| stderr(&output))
    };
    let value = |found: Result<serde_json::Value, String>| found.unwrap()["value"].as_f64().unwrap() as f32;
    let expected = Case::named("age").logits[0];
    let refused = explain(&[]).unwrap_err();
    assert!(refused.contains("image, factor") && refused.contains("--feed"), "{refused}");
    near(&[value(explain(&["--feed", "factor=2"]))], &[2.0 * expected], 1e-4).unwrap();
    let file = folder.file("factor.npy");
    ndarray_npy::write_npy(&file, &ndarray::arr1(&[3.0_f64])).unwrap();
    near(&[value(explain(&["--feed", &format!("factor={file}")]))], &[3.0 * expected], 1e-4).unwrap();
    let unknown = explain(&["--feed", "faktor=2"]).unwrap_err();
    assert!(unknown.contains("'faktor'") && unknown.contains("factor"), "{unknown}");
    let manifest =
        "name = \"scaled\"\n[input]\nwidth = 64\nheight = 64\nscale = 1.0\n[feed]\nfactor = \"factor.npy\"\n";
    std::fs::write(folder.file("scaled.toml"), manifest).unwrap();
    near(&[value(explain(&[]))], &[3.0 * expected], 1e-4).unwrap();
}

#[test]
fn the_metadata_of_a_segmenter_name_its_classes() {
    let folder = Folder::new("semantic");
    let path = folder.file("semantic.onnx");
    let mut model = OnnxModel::read(&Case::named("unet_bare").path()).unwrap();
    model.set_metadata("task", "semantic");
    model.set_metadata("names", "{0: 'road', 1: 'sky', 2: 'car', 3: 'tree', 4: 'wall'}");
    std::fs::write(&path, model.to_bytes()).unwrap();
    let found = line(&path, &["--class", "sky"]);
    assert_eq!((&found["label"], &found["class_index"]), (&"sky".into(), &1.into()));
    let inspected = whycam(&["inspect", &path, "--json"]);
    let inspected: serde_json::Value = serde_json::from_str(&stdout(&inspected)).unwrap();
    assert_eq!((&inspected["task"], &inspected["preprocessing"]["fit"]), (&"segment".into(), &"letterbox".into()));
}

/// A copy of a net with further nodes after its output, which they rename to `to`.
fn extended(folder: &Folder, name: &str, nodes: Vec<Node>, constants: Vec<Tensor>, to: &str) -> String {
    let path = folder.file(&format!("{to}.onnx"));
    let mut model = OnnxModel::read(&Case::named(name).path()).unwrap();
    let graph = model.graph_mut();
    graph.node.extend(nodes);
    graph.initializer.extend(constants);
    graph.output = vec![ValueInfo::untyped(to)];
    std::fs::write(&path, model.to_bytes()).unwrap();
    path
}

/// A value is what the model gives, not what comes before its last steps.
#[test]
fn a_value_is_that_of_the_output() {
    let folder = Folder::new("sigmoid-value");
    let nodes = vec![
        Node::new("Sigmoid", "squash", &["output"], &["share"]),
        Node::new("Mul", "scale", &["share", "hundred"], &["age"]),
    ];
    let path = extended(&folder, "age", nodes, vec![Tensor::from_f32s("hundred", &[], &[100.0])], "age");
    let x = Case::named("age").logits[0];
    let expected = 100.0 / (1.0 + (-x).exp());
    for options in [&["--task", "value"][..], &[]] {
        let found = line(&path, options);
        near(&[found["value"].as_f64().unwrap() as f32], &[expected], 1e-3).unwrap();
    }
}

/// What `explain` says of a picture with a model that it refuses.
fn refusal(model: &str, more: &[&str]) -> String {
    let picture = reference("tasks/input.npy").display().to_string();
    let output = whycam(&[&["explain", &picture, "--tensor", "--model", model, "--json", "-"], more].concat());
    assert!(!output.status.success() && output.stdout.is_empty(), "{}", stdout(&output));
    stderr(&output)
}

/// The name of an output does not say that it holds classes.
#[test]
fn numbers_of_a_named_output_are_no_classes_unasked() {
    let folder = Folder::new("named-output");
    let name = OnnxModel::read(&Case::named("pose").path()).unwrap().graph().output[0].name().to_owned();
    let squash = vec![Node::new("Tanh", "squash", &[&name], &["squashed"])];
    let path = extended(&folder, "pose", squash, Vec::new(), "squashed");
    for options in [&["--output", "squashed"][..], &[]] {
        let text = refusal(&path, options);
        assert!(["--task classify", "--task value", "embed"].iter().all(|remedy| text.contains(remedy)), "{text}");
    }
}

/// A softmax over the tokens of a line of text gives characters, no embedding.
#[test]
fn tokens_that_end_in_a_softmax_are_no_embedding() {
    let folder = Folder::new("token-scores");
    let tokens = Case::named("dino_tokens");
    let name = OnnxModel::read(&tokens.path()).unwrap().graph().output[0].name().to_owned();
    let choose = vec![Node::new("Softmax", "choose", &[&name], &["characters"])];
    let path = extended(&folder, "dino_tokens", choose, Vec::new(), "characters");
    assert!(refusal(&path, &[]).contains("several numbers for each of many places"));
}

/// Three channels may be a picture or three classes: the name, the labels or the task tell.
#[test]
fn a_segmenter_of_three_classes_is_explained_when_it_says_so() {
    let folder = Folder::new("three-classes");
    let name = OnnxModel::read(&Case::named("unet_bare").path()).unwrap().graph().output[0].name().to_owned();
    let constants = [("from", 0), ("until", 3), ("axis", 1)];
    let constants = constants.map(|(name, value)| Tensor::from_i64s(name, &[1], &[value])).to_vec();
    let three = vec![Node::new("Slice", "three", &[&name, "from", "until", "axis"], &["y"])];
    let path = extended(&folder, "unet_bare", three, constants, "y");
    let found = line(&path, &["--task", "segment"]);
    assert!(found["task"] == "segment" && !found["segments"].as_array().unwrap().is_empty(), "{found}");
    std::fs::write(folder.file("labels.txt"), "a\nb\nc\n").unwrap();
    assert_eq!(line(&path, &["--labels", &folder.file("labels.txt")])["task"], "segment");
    assert!(refusal(&path, &[]).contains("--task"));
}

#[test]
fn a_region_outside_the_picture_is_an_error() {
    let text = refusal(&reference("tasks/unet.onnx").display().to_string(), &["--region", "4000,0,9,9"]);
    assert!(text.contains("lies outside the picture"), "{text}");
}

/// The layers after the target are cut out of a transformer, too.
#[test]
fn methods_without_gradients_explain_words() {
    let case = Case::named("clip");
    for method in ["recipro-cam", "ablation-cam"] {
        let mut request = Request::default();
        request.method = Some(cam::find(method).unwrap());
        let map = case.explain(&request).unwrap_or_else(|e| panic!("{method}: {e}")).map;
        assert!(map.values.iter().all(|value| value.is_finite()), "{method}");
    }
}

/// A mask may be enlarged after its sigmoid: the logits come before both.
#[test]
fn a_mask_that_is_enlarged_after_its_sigmoid_is_explained_before_it() {
    let folder = Folder::new("enlarged-mask");
    let sizes = Tensor::from_f32s("larger", &[4], &[1.0, 1.0, 2.0, 2.0]);
    let nodes = vec![
        Node::new("Resize", "enlarge", &["mask", "", "larger"], &["large_mask"])
            .with(Attribute::from_string("mode", "linear")),
    ];
    let path = extended(&folder, "mask", nodes, vec![sizes], "large_mask");
    let (found, plain) = (line(&path, &[]), line("mask.onnx", &[]));
    assert_eq!(found["segments"][0]["share"], plain["segments"][0]["share"]);
    assert!(found["segments"][0]["share"].as_f64().unwrap() < 0.9);
}

#[test]
fn labels_do_not_make_classes_of_a_value() {
    let folder = Folder::new("value-labels");
    let labels = folder.file("labels.txt");
    std::fs::write(&labels, "age\n").unwrap();
    let found = line("age.onnx", &["--labels", &labels]);
    assert_eq!((&found["task"], &found["label"]), (&"value".into(), &"age".into()));
}

#[test]
fn boxes_of_a_value_are_those_of_what_raises_it() {
    let found = line("age.onnx", &["--boxes", "0.5"]);
    for hot in found["boxes"].as_array().unwrap() {
        assert!((0.0..=1.0).contains(&hot["mass"].as_f64().unwrap()), "{hot}");
        assert!((0.0..=1.0).contains(&hot["peak"].as_f64().unwrap()), "{hot}");
    }
}

/// Methods of many runs score the value, too, and its fall.
#[test]
fn methods_without_gradients_explain_a_value_in_both_directions() {
    let case = Case::named("age");
    for method in ["recipro-cam", "ablation-cam"] {
        let map = |direction: Direction| {
            let mut request = Request::default();
            request.method = Some(cam::find(method).unwrap());
            request.direction = direction;
            case.explain(&request).unwrap().map
        };
        let (up, down) = (map(Direction::Up), map(Direction::Down));
        assert!(up.evidence || down.evidence, "{method}");
        assert_ne!(up.values, down.values, "{method}");
    }
}

#[test]
fn what_an_option_is_not_for_is_an_error() {
    let like = format!("a={}", reference("tasks/reference-1.npy").display());
    let prepared = Folder::new("prepared-embedding");
    let own = prepared.file("own.onnx");
    let embedding = reference("tasks/embedding.onnx").display().to_string();
    let made = whycam(&["prepare", &embedding, "-o", &own, "--like", &like]);
    assert!(made.status.success(), "{}", stderr(&made));
    for (model, options, words) in [
        ("clip_whole", vec!["--words", "a,b", "--like", like.as_str()], vec!["--like"]),
        ("unet.onnx", vec!["--direction", "down"], vec!["--direction", "'segment'"]),
        ("age.onnx", vec!["--region", "0,0,9,9"], vec!["--region", "'value'"]),
        ("unet.onnx", vec!["--task", "segment", "--like", &like], vec!["--like", "'segment'"]),
        ("unet.onnx", vec!["--background", "last"], vec!["--background", "'segment'"]),
        ("age.onnx", vec!["--scores", "sigmoid"], vec!["--scores", "'value'"]),
        ("../detectors/yolox_raw.onnx", vec!["--box-order", "yxyx"], vec!["--box-order", "YOLOX"]),
        (&own, vec!["--like", &like], vec!["--like", "made from"]),
        ("clip", vec!["--words", "a", "--method", "legrad", "--layer", "-1"], vec!["legrad", "layer"]),
    ] {
        let picture = reference("tasks/input.npy").display().to_string();
        let path = reference("tasks").join(model).display().to_string();
        let fixed = ["explain", picture.as_str(), "--tensor", "--model", &path, "--json", "-"];
        let output = whycam(&[&fixed[..], &options].concat());
        let message = stderr(&output);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{model} {options:?}: {message}");
        assert!(words.iter().all(|word| message.contains(word)), "{model} {options:?}: {message}");
    }
    let mut explainer = Explainer::new(&Case::named("clip").options(), &Request::default()).unwrap();
    assert!(explainer.set_class(Some(3)).is_err());
    explainer.set_words("red, red, a hand").unwrap();
    assert_eq!(explainer.context().labels, ["red", "a hand"]);
}

#[test]
fn inspect_names_the_layers_that_explain_takes() {
    let folder = Folder::new("inspected-layers");
    let photo = crate::support::picture(&folder, "photo.png", 96, 64);
    let model = reference("detectors/yolox_raw.onnx").display().to_string();
    let output = whycam(&["explain", &photo, "--model", &model, "--json", "-"]);
    let explained: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let inspected: serde_json::Value = serde_json::from_str(&stdout(&whycam(&["inspect", &model, "--json"]))).unwrap();
    assert_eq!(inspected["layer"], explained["layer"]);
    let layers: Vec<&str> = inspected["layer"].as_str().unwrap().split(',').collect();
    assert!(layers.len() > 1, "{layers:?}");
    let marked = inspected["candidates"].as_array().unwrap().iter().filter(|c| c["default"] == true);
    assert_eq!(marked.map(|c| c["tensor"].as_str().unwrap()).collect::<Vec<_>>(), layers);
}
