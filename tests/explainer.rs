//! The library's explainer: what a builder accepts, what survives a change, and what is an error.

use std::fmt::Debug;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use image::{Rgb, RgbImage};
use whycam::cam;
use whycam::grad::Reason;
use whycam::model::{self, Contract};
use whycam::onnx::proto::{Attribute, Node, Tensor};
use whycam::onnx::{DataType, OnnxModel};
use whycam::{
    Compute, Error, Explainer, ExplainerBuilder, Explanation, ExplanationContext, Fusion, LayerName, ModelOptions,
    Preset, Request, Result, ScoreQuery,
};

use crate::support::tiny_net::Net;
use crate::support::{Folder, net, photo};

fn builder(model: &str) -> ExplainerBuilder {
    Explainer::builder().model(model).compute(Compute::on_threads(1))
}

fn options(model: &str) -> ModelOptions {
    let mut options = ModelOptions::default();
    options.model = model.into();
    options.compute = Compute::on_threads(1);
    options
}

/// The error of a build that must fail.
fn refusal(builder: ExplainerBuilder) -> Error {
    builder.build().expect_err("an error")
}

/// An explainer that is cancelled while the returned flag is set.
fn cancellable(builder: ExplainerBuilder) -> (Explainer, Arc<AtomicBool>) {
    let mut explainer = builder.build().unwrap();
    let flag = Arc::new(AtomicBool::new(false));
    let cancelled = Arc::clone(&flag);
    explainer.cancel_when(move || cancelled.load(Ordering::SeqCst));
    (explainer, flag)
}

fn assert_cancelled_by(flag: &AtomicBool, explainer: &mut Explainer) {
    flag.store(true, Ordering::SeqCst);
    assert!(matches!(explainer.explain(&photo()), Err(Error::Cancelled)));
    flag.store(false, Ordering::SeqCst);
    assert!(explainer.explain(&photo()).is_ok());
}

#[test]
fn cancellation_survives_a_change_of_method() {
    let (mut explainer, flag) = cancellable(builder(&net("resnet.legacy")));
    assert!(explainer.explain(&photo()).is_ok());
    explainer.set_method(cam::find("score-cam").unwrap()).unwrap();
    assert_eq!(explainer.context().method, "score-cam");
    assert_cancelled_by(&flag, &mut explainer);
}

#[test]
fn cancellation_survives_a_change_of_layer() {
    let builder = builder(&net("resnet.legacy")).method(cam::find("ablation-cam").unwrap());
    let (mut explainer, flag) = cancellable(builder);
    let layer = "/layer1/layer1.0/relu_1/Relu_output_0";
    assert_ne!(explainer.context().layer, layer);
    explainer.set_layer(LayerName::from(layer)).unwrap();
    assert_eq!(explainer.context().layer, layer);
    assert_cancelled_by(&flag, &mut explainer);
}

#[test]
fn a_change_that_fails_leaves_the_explainer_as_it_was() {
    let mut explainer = builder(&net("resnet.legacy")).build().unwrap();
    let before = explainer.explain(&photo()).unwrap();
    assert!(explainer.set_layer(LayerName::from("no such layer")).is_err());
    assert!(explainer.request().layers.is_empty());
    assert_eq!(explainer.explain(&photo()).unwrap().map.values, before.map.values);
}

/// The layer that a net explains by default, and why.
fn default_layer(path: &str) -> (String, Reason) {
    let typed = model::type_tensors(model::load(&options(path)).unwrap()).unwrap();
    let target = model::locate(typed, &Request::default()).unwrap().targets.remove(0);
    (target.layer.tensor, target.reason)
}

#[test]
fn rarer_activations_are_activations() {
    let folder = Folder::new("activations");
    for op in ["HardSigmoid", "Softsign", "ThresholdedRelu", "Shrink"] {
        let last = vec![Node::new(op, "act", &["seen"], &["active"])];
        let last = Net { activation: last, ..Net::new() }.write(&folder, "last.onnx");
        assert_eq!(default_layer(&last), ("active".to_owned(), Reason::LastActivationBeforeLogits), "{op}");
        assert_eq!(builder(&last).build().unwrap().context().layer, "active", "{op}");

        // Only an activation is chosen before a norm that follows it.
        let normalised = vec![
            Node::new(op, "act", &["seen"], &["bent"]),
            Node::new("BatchNormalization", "norm", &["bent", "ones", "zeros", "zeros", "ones"], &["active"]),
        ];
        let constants = [("ones", 1.0), ("zeros", 0.0)].map(|(name, value)| Tensor::from_f32s(name, &[8], &[value; 8]));
        let normalised = Net { activation: normalised, constants: constants.into(), ..Net::new() };
        let normalised = normalised.write(&folder, "normalised.onnx");
        assert_eq!(default_layer(&normalised), ("bent".to_owned(), Reason::LastActivation), "{op}");
        let explanation = builder(&normalised).build().unwrap().explain(&photo()).unwrap();
        assert_eq!(explanation.map.values.dim(), (16, 16), "{op}");
    }
}

/// The model that `whycam prepare` writes.
fn augmented() -> model::AugmentedModel {
    model::augmented(&options(&net("resnet.legacy")), &Request::default(), false, &mut None).unwrap()
}

#[test]
fn the_contract_of_an_augmented_model_reads_back() {
    let layers = LayerName::parse_list("/layer1/layer1.0/relu_1/Relu_output_0,-1");
    let mut several = Request::default();
    several.layers = layers;
    let several = model::augmented(&options(&net("resnet.legacy")), &several, false, &mut None).unwrap();
    assert_eq!(several.contract.layer_geometries.len(), 2);
    for augmented in [augmented(), several] {
        let bytes = augmented.model.to_bytes();
        let read = Contract::read(&OnnxModel::from_bytes("prepared", bytes).unwrap()).unwrap().unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", augmented.contract));
    }
    let plain = OnnxModel::read(net("resnet.legacy").as_ref()).unwrap();
    assert!(Contract::read(&plain).unwrap().is_none());
}

#[test]
fn a_damaged_contract_is_an_error_and_never_a_guess() {
    let folder = Folder::new("damaged-contract");
    let whole = augmented().model;
    let path = folder.file("prepared.onnx");
    let build = |model: &OnnxModel| {
        fs::write(&path, model.to_bytes()).unwrap();
        builder(&path).build()
    };
    assert!(build(&whole).is_ok());
    let mut damages: Vec<(&str, Option<&str>)> =
        ["logits", "grid", "place", "probability", "labels", "preprocessing"].map(|field| (field, None)).into();
    damages.extend([
        ("grid", Some("8 by 8")),
        ("place", Some("{")),
        ("place", Some(r#"{"first":[0.5]}"#)),
        ("place", Some(r#"{"first":[0.5,0.5],"stride":[0.0,2.0]}"#)),
        ("place", Some(r#"{"first":[1e18,0.5],"stride":[2.0,2.0]}"#)),
        ("places", Some(r#"[{"first":[0.5,0.5],"stride":[2.0,2.0]}]"#)),
        ("probability", Some("perhaps")),
        ("labels", Some("[1]")),
        ("preprocessing", Some("{}")),
        ("preprocessing", Some(r#"{"width":0,"height":16,"scale":1.0}"#)),
        ("known", Some(r#"{"output":3}"#)),
    ]);
    for (field, value) in damages {
        let mut model = whole.clone();
        let key = format!("whycam.{field}");
        match value {
            Some(value) => model.set_metadata(&key, value),
            None => assert!(model.take_metadata(&key).is_some(), "{field} is not in the metadata"),
        }
        let message = build(&model).err().unwrap_or_else(|| panic!("{field} {value:?} is taken")).to_string();
        let clear = message.contains("whycam metadata are damaged") && message.contains("prepare it again");
        assert!(clear && message.contains("prepared.onnx"), "{field} {value:?}: {message}");
    }
    let mut labels = whole;
    labels.set_metadata("whycam.labels", r#"["one label"]"#);
    let message = build(&labels).expect_err("an error").to_string();
    assert!(message.contains("there are 1 labels"), "{message}");
}

/// A head whose last nodes add a row of a table to the scores `plain`. The row is the whole part of `number`, and the
/// table has one row, so the runtime fails for a number of 1 or more.
fn fails_from_one_on(mut head: Vec<Node>) -> Vec<Node> {
    head.splice(
        0..0,
        [
            Node::new("Flatten", "flatten", &["pooled"], &["flat"]),
            Node::new("Gemm", "gemm", &["flat", "v"], &["plain"]),
        ],
    );
    head.extend([
        Node::new("Cast", "cast", &["number"], &["at"]).with(Attribute::from_int("to", DataType::Int64 as i64)),
        Node::new("Gather", "gather", &["table", "at"], &["row"]),
        Node::new("Add", "add", &["plain", "row"], &["scores"]),
    ]);
    head
}

fn scalar(name: &str, value: f32) -> Tensor {
    Tensor::from_f32s(name, &[], &[value])
}

fn table() -> Tensor {
    Tensor::from_f32s("table", &[1, 5], &[0.1; 5])
}

/// A picture of one grey.
fn grey(level: u8) -> RgbImage {
    RgbImage::from_pixel(16, 16, Rgb([level; 3]))
}

fn assert_run_failed(explanation: Result<Explanation>, model: &str) {
    let error = explanation.expect_err("the runtime fails");
    let message = error.to_string();
    assert!(message.contains("the run failed") && message.contains(model), "{message}");
    assert!(matches!(error, Error::Model { .. } | Error::Runtime { .. }), "{message}");
}

#[test]
fn a_run_that_fails_is_an_error() {
    let folder = Folder::new("failing-run");
    let head = vec![
        Node::new("ReduceMax", "brightest", &["image"], &["brightest"]).with(Attribute::from_int("keepdims", 0)),
        Node::new("Mul", "twice", &["brightest", "two"], &["number"]),
    ];
    let failing = Net {
        head: fails_from_one_on(head),
        outputs: vec!["scores"],
        constants: vec![scalar("two", 2.0), table()],
        ..Net::new()
    };
    let model = failing.write(&folder, "failing.onnx");
    for method in ["grad-cam", "layer-cam", "eigen-cam", "smooth-grad-cam++"] {
        let builder = builder(&model).layer("active").preset(Preset::Unit).method(cam::find(method).unwrap());
        let mut explainer = builder.build().unwrap();
        assert_run_failed(explainer.explain(&grey(255)), "failing.onnx");
        if method != "smooth-grad-cam++" {
            assert!(explainer.explain(&grey(60)).is_ok(), "{method}: no picture can be explained after the error");
        }
    }
}

#[test]
fn a_failure_of_the_layers_after_the_target_is_an_error() {
    let folder = Folder::new("failing-remainder");
    // Every channel is at least 2, until it is removed.
    let activation = vec![
        Node::new("Relu", "relu", &["seen"], &["positive"]),
        Node::new("Add", "raise", &["positive", "two"], &["active"]),
    ];
    let head = vec![
        Node::new("ReduceMin", "least", &["pooled"], &["least"]).with(Attribute::from_int("keepdims", 0)),
        Node::new("Less", "removed", &["least", "half"], &["removed"]),
        Node::new("Cast", "number", &["removed"], &["number"]).with(Attribute::from_int("to", DataType::Float as i64)),
    ];
    let constants = vec![scalar("two", 2.0), scalar("half", 0.5), table()];
    let failing = Net { activation, head: fails_from_one_on(head), outputs: vec!["scores"], constants, ..Net::new() };
    let model = failing.write(&folder, "failing.onnx");
    for method in ["ablation-cam", "recipro-cam"] {
        let builder = builder(&model).layer("active").preset(Preset::Unit).method(cam::find(method).unwrap());
        let mut explainer = builder.build().unwrap();
        let notices = explainer.context().notices.join("\n");
        assert!(notices.contains("one activation at a time") && notices.contains("the run failed"), "{notices}");
        assert_run_failed(explainer.explain(&photo()), "failing.onnx");
    }
    let mut explainer = builder(&model).layer("active").preset(Preset::Unit).build().unwrap();
    assert!(explainer.explain(&photo()).is_ok());
}

#[test]
fn a_failure_in_a_later_run_of_many_is_an_error() {
    let folder = Folder::new("failing-later");
    // 8 m (1 - m) of the mean m: below 1 for black and for white, and above 1 for a grey between them.
    let head = vec![
        Node::new("ReduceMean", "mean", &["image"], &["mean"]).with(Attribute::from_int("keepdims", 0)),
        Node::new("Sub", "rest", &["one", "mean"], &["rest"]),
        Node::new("Mul", "product", &["mean", "rest"], &["product"]),
        Node::new("Mul", "eight", &["product", "eightfold"], &["number"]),
    ];
    let constants = vec![scalar("one", 1.0), scalar("eightfold", 8.0), table()];
    let failing = Net { head: fails_from_one_on(head), outputs: vec!["scores"], constants, ..Net::new() };
    let model = failing.write(&folder, "failing.onnx");
    let at_input = |method: &str| builder(&model).preset(Preset::Unit).method(cam::find(method).unwrap());
    assert!(at_input("gradient").build().unwrap().explain(&grey(255)).is_ok());
    let explanation = at_input("integrated-gradients").build().unwrap().explain(&grey(255));
    assert_run_failed(explanation, "failing.onnx");
}

#[test]
fn a_builder_takes_typed_options() {
    let method = cam::find("layer-cam").unwrap();
    let builder =
        builder(&net("resnet.legacy")).method(method).class(3_usize).preset(Preset::Unit).fusion(Fusion::Mean);
    let mut explainer = builder.layer("/layer1/layer1.0/relu_1/Relu_output_0").build().unwrap();
    assert_eq!(explainer.request().method.unwrap().name, "layer-cam");
    assert_eq!(explainer.request().scores, [ScoreQuery::Class(3_usize.into())]);
    assert_eq!(explainer.request().fusion, Fusion::Mean);
    assert_eq!(explainer.context().layer, "/layer1/layer1.0/relu_1/Relu_output_0");
    assert!(explainer.context().guess.is_none() && !explainer.follows_prediction());
    let explanation = explainer.explain(&photo()).unwrap();
    assert_eq!(explanation.classes().unwrap().class_index, 3);
    assert_eq!(explanation.maps().count(), 1);
    assert_eq!(explanation.captions(explainer.context()).len(), 1);

    let default = Explainer::builder().build().unwrap();
    assert_eq!((default.context().model.as_str(), default.context().method.as_str()), ("flowers", "grad-cam"));
    assert!(default.follows_prediction());
}

#[test]
fn a_name_that_nothing_has_is_an_error_that_tells_what_there_is() {
    let unknown = |error: Error, kind: &str, part: &str| {
        let message = error.to_string();
        assert!(matches!(&error, Error::Unknown { what, .. } if *what == kind), "{kind}: {message}");
        assert!(message.contains(part), "{kind}: {message}");
    };
    let flowers = || builder("flowers");
    unknown(refusal(flowers().class("oaks")), "class", "daisy, dandelion, roses");
    unknown(refusal(flowers().class(99_usize)), "class", "99");
    unknown(refusal(flowers().scores(vec![ScoreQuery::Rank(7)])), "class", "5 classes");
    unknown(refusal(flowers().layer("no such layer")), "layer", "no such layer");
    unknown(refusal(flowers().layer("-999")), "layer", "candidates");
    unknown(refusal(flowers().output("no such output")), "output", "no such output");
    unknown(cam::find("gradcam").err().unwrap(), "method", "smooth-grad-cam++");
    unknown("inkjet".parse::<Preset>().err().unwrap(), "preset", "imagenet");
    unknown(ScoreQuery::parse_list("top999").err().unwrap(), "class", "top999");
    let message = refusal(builder("nowhere.onnx")).to_string();
    assert!(message.contains("nowhere.onnx") && message.contains("flowers-vgg"), "{message}");
    let message = refusal(flowers().labels("nowhere.txt")).to_string();
    assert!(message.contains("nowhere.txt"), "{message}");
}

#[test]
fn an_explainer_of_several_classes_does_not_change_to_one() {
    let mut explainer = builder("flowers").scores(ScoreQuery::parse_list("top2").unwrap()).build().unwrap();
    assert!(explainer.set_class(Some(1)).unwrap_err().to_string().contains("several classes"));
    let explanation = explainer.explain(&photo()).unwrap();
    assert_eq!(explanation.classes().unwrap().others.len(), 1);
    assert_eq!(explanation.captions(explainer.context()).len(), 2);
}

#[test]
fn a_lower_rank_alone_has_the_map_of_its_class() {
    let mut of_rank = builder("flowers").scores(vec![ScoreQuery::Rank(2)]).build().unwrap();
    let found = of_rank.explain(&photo()).unwrap();
    let class = found.classes().unwrap().class_index;
    let mut of_class = builder("flowers").build().unwrap();
    of_class.set_class(Some(class)).unwrap();
    let expected = of_class.explain(&photo()).unwrap();
    assert_ne!(class, builder("flowers").build().unwrap().explain(&photo()).unwrap().classes().unwrap().class_index);
    assert_eq!(found.map.values, expected.map.values);
}

#[test]
fn public_types_can_be_printed_for_debugging() {
    fn printed<T: Debug>(value: &T) -> String {
        format!("{value:?}")
    }
    let mut explainer = builder("flowers").build().unwrap();
    let explanation: Explanation = explainer.explain(&photo()).unwrap();
    let context: &ExplanationContext = explainer.context();
    assert!(printed(context).contains("grad-cam"));
    assert!(printed(&explanation).contains("Classes"));
    assert!(printed(&explainer).contains("flowers"));
    assert!(printed(&options("flowers")).contains("flowers"));
    assert!(printed(&Request::default()).contains("Rank(0)"));
    assert!(printed(&builder("flowers")).contains("flowers"));
}
