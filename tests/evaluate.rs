//! The measures of models and maps, against published implementations (tests/reference/metrics.py).

use image::RgbImage;
use ndarray::{Array2, Array3, ArrayView3};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde_json::Value;
use whycam::evaluate::{
    Trial, adcc, area_under, average_drop, calibration_error, insertion_deletion, pearson, reliability, road, spearman,
    to_unit,
};
use whycam::onnx::DataType;
use whycam::onnx::proto::{Attribute, Graph, Node, Tensor, ValueInfo};
use whycam::{Explainer, Randomised};

use crate::support::maps::{self, Tolerance};
use crate::support::{self, Folder, reference, things, tiny_net, whycam};

const SHARES: [f32; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

fn values() -> Value {
    let text = std::fs::read_to_string(reference("metrics/values.json")).expect("committed values");
    serde_json::from_str(&text).expect("JSON")
}

fn plane(name: &str) -> Array2<f32> {
    ndarray_npy::read_npy(reference("metrics").join(name)).expect("a committed array")
}

/// Softmax of a matrix times the picture's means over 6x6 squares, for class 1.
fn classify(weights: &Array2<f32>, picture: ArrayView3<f32>) -> f32 {
    let means: Vec<f32> = picture
        .outer_iter()
        .flat_map(|channel| channel.exact_chunks((6, 6)).into_iter().map(|s| s.mean().unwrap()).collect::<Vec<_>>())
        .collect();
    let powers = weights.dot(&ndarray::Array1::from(means)).mapv(f32::exp);
    powers[1] / powers.sum()
}

/// Runs a check on the reference's picture, map and classifier.
fn on_reference(check: impl FnOnce(&mut Trial, &Value)) {
    let (weights, map) = (plane("weights.npy"), plane("map.npy"));
    let picture: Array3<f32> = ndarray_npy::read_npy(reference("metrics/picture.npy")).expect("a committed array");
    let mut trial = Trial {
        input: picture.view(),
        map: map.view(),
        blank: &[0.0; 3],
        score: classify(&weights, picture.view()),
        classify: &mut |input| Ok(classify(&weights, input)),
        explain: &mut |input| Ok(to_unit(input.sum_axis(ndarray::Axis(0)))),
    };
    check(&mut trial, &values());
}

fn assert_near(name: &str, ours: f32, theirs: &Value) {
    let theirs = theirs.as_f64().expect("a number") as f32;
    assert!((ours - theirs).abs() < 5e-4, "{name}: {ours}, but the reference has {theirs}");
}

#[test]
fn average_drop_and_increase_are_those_of_pytorch_grad_cam() {
    on_reference(|trial, theirs| {
        let change = average_drop(trial).unwrap();
        assert_near("drop", change.drop, &theirs["drop"]);
        assert_eq!(change.increased, theirs["increased"]);
    });
}

#[test]
fn insertion_and_deletion_are_those_of_rise_and_openvino_xai() {
    on_reference(|trial, theirs| {
        let curves = insertion_deletion(trial, 32).unwrap();
        assert_near("insertion", area_under(&curves.insertion), &theirs["insertion"]);
        assert_near("deletion", area_under(&curves.deletion), &theirs["deletion"]);
    });
}

#[test]
fn adcc_is_that_of_openvino_xai() {
    on_reference(|trial, theirs| {
        let drop = average_drop(trial).unwrap().drop;
        let ours = adcc(trial, drop).unwrap();
        let theirs = &theirs["adcc"];
        assert_near("coherency", ours.coherency, &theirs["coherency"]);
        assert_near("complexity", ours.complexity, &theirs["complexity"]);
        assert_near("ADCC", ours.value(), &theirs["adcc"]);
    });
}

#[test]
fn road_is_that_of_pytorch_grad_cam_with_exact_shares() {
    on_reference(|trial, theirs| {
        let ours = road(trial, &SHARES, 0.0, &mut SmallRng::seed_from_u64(0)).unwrap();
        assert_near("most relevant first", ours.most_first, &theirs["road_most_first"]);
        assert_near("least relevant first", ours.least_first, &theirs["road_least_first"]);
    });
}

#[test]
fn correlations_are_those_of_scipy() {
    let (map, other, theirs) = (plane("map.npy"), plane("other.npy"), values());
    assert_near("pearson", pearson(map.iter().copied(), other.iter().copied()), &theirs["pearson"]);
    let [a, b] = [&map, &other].map(|map| map.iter().copied().collect::<Vec<_>>());
    assert_near("spearman", spearman(&a, &b), &theirs["spearman"]);
}

#[test]
fn calibration_error_is_that_of_torchmetrics() {
    let theirs = values();
    let list = |name: &str| theirs[name].as_array().expect("a list").clone();
    let predictions: Vec<(f32, bool)> = list("confidences")
        .iter()
        .zip(&list("right"))
        .map(|(confidence, right)| (confidence.as_f64().unwrap() as f32, right.as_bool().unwrap()))
        .collect();
    assert_near("error", calibration_error(&reliability(&predictions, 15)), &theirs["calibration_error"]);
}

#[test]
fn maps_of_a_model_with_random_weights_are_others() {
    let folder = Folder::new("random-weights");
    let picture = image::open(support::picture(&folder, "a.png", 64, 64)).unwrap().to_rgb8();
    let map = |share: f32| {
        let builder = Explainer::builder().randomised(Randomised { share, seed: 3 }).class("roses");
        builder.build().unwrap().explain(&picture).unwrap().map.values
    };
    let flat = |map: &Array2<f32>| map.iter().copied().collect::<Vec<f32>>();
    let (own, again) = (map(0.0), map(0.0));
    maps::assert_near(&again, &own, Tolerance { cosine: 0.9999, difference: 1e-3 }, "the model's own weights");
    assert!((spearman(&flat(&own), &flat(&again)) - 1.0).abs() < 1e-6);
    assert!(spearman(&flat(&own), &flat(&map(1.0))) < 0.9);
}

#[test]
fn a_damaged_photo_is_named_and_the_others_are_measured() {
    let folder = Folder::new("damaged-photo");
    std::fs::create_dir_all(folder.0.join("photos/roses")).unwrap();
    support::picture(&folder, "photos/roses/whole.png", 32, 32);
    std::fs::write(folder.file("photos/roses/broken.jpg"), "not a picture").unwrap();
    let out = whycam(&["evaluate", &folder.file("photos"), "--sample", "0", "--json", "-", "-q"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(support::stderr(&out).contains("broken.jpg"), "{}", support::stderr(&out));
    let result: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(result["photos"], 1);
}

#[test]
fn what_would_fail_in_the_end_is_refused_before_anything_is_measured() {
    let folder = Folder::new("refused-early");
    std::fs::create_dir_all(folder.0.join("photos/roses")).unwrap();
    support::picture(&folder, "photos/roses/a.png", 32, 32);
    let (photos, film, json) = (folder.file("photos"), folder.file("no.mp4"), folder.file("no/such/a.json"));
    let log = folder.file("a.json");
    for (given, status, named) in [
        (["--film", &film, "--resume", "--json", &log], 1, "no.mp4: no such file"),
        (["--sample", "1", "--grids=0", "--json", &json], 1, "there is no folder"),
        (["--sample", "0", "--choose", "--model", "flowers"], 2, "--sample 0 takes none"),
    ] {
        let out = whycam(&[&["evaluate", &photos], given.as_slice()].concat());
        assert_eq!(out.status.code(), Some(status), "{}", support::stderr(&out));
        assert!(support::stderr(&out).contains(named), "{}", support::stderr(&out));
        assert!(out.stdout.is_empty() && !std::path::Path::new(&log).exists());
    }
}

#[test]
fn a_class_folder_that_the_model_does_not_know_is_named() {
    let folder = Folder::new("unknown-class");
    std::fs::create_dir_all(folder.0.join("photos/orchid")).unwrap();
    support::picture(&folder, "photos/orchid/a.png", 32, 32);
    let out = whycam(&["evaluate", &folder.file("photos")]);
    assert_eq!(out.status.code(), Some(1));
    let said = support::stderr(&out);
    assert!(said.contains("orchid") && said.contains("daisy, dandelion, roses"), "{said}");
}

#[test]
fn a_class_folder_counts_whatever_the_case_of_its_letters() {
    let folder = Folder::new("capital-class");
    std::fs::create_dir_all(folder.0.join("photos/Roses")).unwrap();
    support::picture(&folder, "photos/Roses/a.png", 32, 32);
    let out = whycam(&["evaluate", &folder.file("photos"), "--sample", "0", "--json", "-", "-q"]);
    assert!(out.status.success(), "{}", support::stderr(&out));
    let result: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(result["photos"], 1);
    let labels = result["labels"].as_array().unwrap();
    let roses = labels.iter().position(|label| label == "roses").unwrap();
    let predicted = result["confusion"][roses].as_array().unwrap().iter();
    assert_eq!(predicted.map(|count| count.as_u64().unwrap()).sum::<u64>(), 1, "{}", result["confusion"]);
}

#[test]
fn an_interrupted_evaluation_goes_on_with_what_it_lacks() {
    let folder = Folder::new("resumed-evaluation");
    std::fs::create_dir_all(folder.0.join("photos/roses")).unwrap();
    support::picture(&folder, "photos/roses/a.png", 32, 32);
    let (photos, json) = (folder.file("photos"), folder.file("out.json"));
    let run = |methods: &str, seed: &str| {
        let sample = ["--sample", "1", "--grids", "0", "--seed", seed, "--resume", "--json", &json, "-q"];
        whycam(&[&["evaluate", &photos, "--method", methods], sample.as_slice()].concat())
    };
    let measured = || -> Vec<Value> {
        let result: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
        result["methods"].as_array().unwrap().clone()
    };
    let kept = || std::fs::read_to_string(format!("{json}.done")).unwrap();
    assert!(run("grad-cam", "1").status.success());
    let (before, half) = (measured(), kept());
    // As a run leaves it that was killed while it wrote.
    std::fs::write(format!("{json}.done"), format!("{half}\"{{\\\"method")).unwrap();
    let out = run("hires-cam,grad-cam", "1");
    assert!(out.status.success(), "{}", support::stderr(&out));
    let after = measured();
    assert_eq!((&after[1], after[0]["method"].as_str()), (&before[0], Some("hires-cam")));
    assert!(kept().starts_with(&half) && kept().len() > half.len());
    // A run that ended after a photo of a method does not measure that photo again.
    let photo = half.lines().nth(1).unwrap().replace(r#"\"stability\":"#, r#"\"stability\":0.125,\"was\":"#);
    std::fs::write(format!("{json}.done"), format!("{}\n{photo}\n", half.lines().next().unwrap())).unwrap();
    assert!(run("grad-cam", "1").status.success());
    assert_eq!(measured()[0]["stability"].as_f64(), Some(0.125));
    assert_eq!(measured()[0]["insertion"], before[0]["insertion"]);
    let refused = run("grad-cam", "2");
    assert!(!refused.status.success() && support::stderr(&refused).contains("other options"));
    support::picture(&folder, "photos/roses/b.png", 32, 32);
    assert!(support::stderr(&run("grad-cam", "1")).contains("other options, photos or films"));
}

#[test]
fn photos_that_are_measured_at_once_give_the_numbers_of_one_after_the_other() {
    let folder = Folder::new("evaluated-at-once");
    std::fs::create_dir_all(folder.0.join("photos/roses")).unwrap();
    for (name, side) in [("a", 32), ("b", 40), ("c", 56), ("d", 48), ("e", 64)] {
        support::picture(&folder, &format!("photos/roses/{name}.png"), side, 48);
    }
    let (photos, json) = (folder.file("photos"), folder.file("out.json"));
    let measured = |threads: &str| -> Value {
        let options =
            ["--model", "flowers-vgg", "--grids", "0", "--json", &json, "--force", "-q", "--threads", threads];
        let out = whycam(&[&["evaluate", &photos], options.as_slice()].concat());
        assert!(out.status.success(), "{}", support::stderr(&out));
        serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap()
    };
    let one = measured("1");
    assert_eq!(one["methods"][0]["photos"].as_u64(), Some(5));
    assert_eq!(measured("3"), one);
}

/// A net for 64x64 pixels that sees red in one channel and blue in another, as by training 6 pixels to the left of and above
/// the middle of its kernel.
fn displaced_net() -> Graph {
    let mut kernel = ndarray::Array4::<f32>::zeros((2, 3, 17, 17));
    for (channel, colour) in [(0, 0), (1, 2)] {
        kernel[[channel, colour, 2, 2]] = 1.0;
        kernel[[channel, 2 - colour, 2, 2]] = -1.0;
    }
    let attributes = [Attribute::from_ints("pads", &[8, 8, 8, 8]), Attribute::from_ints("strides", &[4, 4])];
    let [pads, strides] = attributes;
    Graph {
        name: Some("displaced".into()),
        node: vec![
            Node::new("Conv", "conv", &["image", "kernel"], &["seen"]).with(pads).with(strides),
            Node::new("Relu", "relu", &["seen"], &["active"]),
            Node::new("GlobalAveragePool", "pool", &["active"], &["pooled"]),
            Node::new("Flatten", "flatten", &["pooled"], &["flat"]),
            Node::new("Gemm", "gemm", &["flat", "rows"], &["logits"]),
        ],
        initializer: vec![
            Tensor::from_f32s("kernel", &[2, 3, 17, 17], kernel.as_slice().unwrap()),
            Tensor::from_f32s("rows", &[2, 2], &[40.0, 0.0, 0.0, 40.0]),
        ],
        input: vec![ValueInfo::tensor("image", DataType::Float, &[1, 3, 64, 64])],
        output: vec![ValueInfo::untyped("logits")],
        ..Graph::default()
    }
}

#[test]
fn choosing_corrects_maps_that_lie_beside_what_they_show() {
    let folder = Folder::new("displaced");
    let model = tiny_net::write(displaced_net(), &folder, "displaced.onnx");
    std::fs::write(
        folder.file("displaced.toml"),
        "name = \"displaced\"\nlabels = [\"red\", \"blue\"]\nmethod = \"grad-cam\"\nlayer = \"active\"\n\n[input]\n\
         width = 64\nheight = 64\nlayout = \"NCHW\"\nscale = 0.00392156862\n",
    )
    .unwrap();
    let photos = folder.0.join("photos");
    for (class, colour) in [("red", [220, 60, 50]), ("blue", [50, 60, 220])] {
        things::class(&photos, class, (0..4).map(|number| disc(colour, [22 + 6 * number, 40 - 5 * number])));
    }
    let run = || {
        let out = whycam(&["evaluate", &photos.display().to_string(), "--model", &model, "--choose", "--json", "-"]);
        assert!(out.status.success(), "{}", support::stderr(&out));
        let result: Value = serde_json::from_slice(&out.stdout).unwrap();
        let found = result["methods"][0]["displacement"]["pixels"].as_array().unwrap().clone();
        found.iter().map(|pixels| pixels.as_f64().unwrap()).collect::<Vec<_>>()
    };
    let before = run();
    assert!(before.iter().all(|pixels| (pixels - 6.0).abs() < 1.0), "{before:?}");
    let after = run();
    assert!(after.iter().all(|pixels| pixels.abs() < 1.0), "{before:?}, then {after:?}");
}

/// A disc on grey, 64x64 pixels.
fn disc(colour: [u8; 3], centre: [i32; 2]) -> RgbImage {
    RgbImage::from_fn(64, 64, |x, y| {
        let [dx, dy] = [x as i32 - centre[0], y as i32 - centre[1]];
        image::Rgb(if dx * dx + dy * dy <= 81 { colour } else { [128; 3] })
    })
}

mod needs_data {
    use std::path::Path;

    use serde_json::Value;

    use crate::support::{self, Folder, data_file, whycam};

    /// The accuracy that the manifests state is what whycam itself gets.
    #[test]
    #[ignore = "needs photos and clips; set WHYCAM_TEST_DATA"]
    fn evaluate_finds_the_accuracy_that_the_manifest_states() {
        let val = data_file("flowers256/val");
        let out =
            whycam(&["evaluate", &val.display().to_string(), "--sample", "0", "--grids", "0", "--json", "-", "-q"]);
        assert!(out.status.success(), "{}", support::stderr(&out));
        let result: Value = serde_json::from_slice(&out.stdout).unwrap();
        let stated = whycam::model::EMBEDDED[0].manifest().unwrap().accuracy.unwrap().val.unwrap();
        let accuracy = result["accuracy"].as_f64().unwrap() as f32;
        assert!((accuracy - stated).abs() < 0.012, "{accuracy}, but the manifest says {stated}");
        assert_eq!(result["photos"], 266);
    }

    #[test]
    #[ignore = "needs photos and clips; set WHYCAM_TEST_DATA"]
    fn evaluate_measures_maps_and_writes_a_report_in_one_file() {
        let val = data_file("flowers256/val");
        let folder = Folder::new("evaluate");
        for class in ["daisy", "roses", "sunflowers", "tulips"] {
            std::fs::create_dir_all(folder.0.join("photos").join(class)).unwrap();
            let photos = std::fs::read_dir(val.join(class)).unwrap().map(|e| e.unwrap().path());
            for photo in photos.take(2) {
                std::fs::copy(&photo, folder.0.join("photos").join(class).join(photo.file_name().unwrap())).unwrap();
            }
        }
        let (photos, page, json) = (folder.file("photos"), folder.file("report.html"), folder.file("out.json"));
        let out = whycam(&[
            "evaluate",
            &photos,
            "--sample",
            "2",
            "--grids",
            "2",
            "--method",
            "grad-cam,layer-cam",
            "--html",
            &page,
            "--json",
            &json,
        ]);
        assert!(out.status.success(), "{}", support::stderr(&out));
        let table = support::stdout(&out);
        assert!(table.contains("grad-cam") && table.contains("pointing"), "{table}");
        let result: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
        for method in result["methods"].as_array().unwrap() {
            for key in ["insertion", "deletion", "average_drop", "increase", "adcc", "grid_pointing"] {
                let value = method[key].as_f64().unwrap_or(-1.0);
                assert!((0.0..=1.0).contains(&value), "{key}: {value}");
            }
        }
        let page = std::fs::read_to_string(&page).unwrap();
        assert!(page.contains("data:image/jpeg;base64,") && page.contains("<svg"));
        assert!(!page.contains("src=\"http") && !page.contains("href="), "the report needs other files");
    }

    #[test]
    #[ignore = "needs photos and clips; set WHYCAM_TEST_DATA"]
    fn people_are_no_flower_and_a_flower_is_one() {
        let (friday, photos) = (data_file("clips/friday.mp4"), data_file("flowers256/test/sunflowers"));
        let sure = |input: &Path| {
            let out = whycam(&["explain", &input.display().to_string(), "--json", "-", "-q"]);
            assert!(out.status.success(), "{}", support::stderr(&out));
            let lines = support::stdout(&out);
            let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            lines.iter().filter(|line| line["sure"] == true).count() as f32 / lines.len() as f32
        };
        let (people, flowers) = (sure(&friday), sure(&photos));
        assert!(people < 0.05, "sure of a flower in {people} of the frames");
        assert!(flowers > 0.9, "sure of a flower in {flowers} of the photos");
    }
}
