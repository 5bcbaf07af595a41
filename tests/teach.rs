//! Teaching: from folders, and while a camera runs.

use std::fs;
use std::path::Path;

use image::RgbImage;
use serde_json::Value;

use crate::support::desktop::Desktop;
use crate::support::things::{CLOTHS, Shape, class, film_of, thing};
use crate::support::{self, Folder, assert_ok, json_lines, stderr, stdout, whycam};

/// Pictures of a shape on these cloths in turn.
fn pictures(shape: Shape, cloths: &[[u8; 3]], seeds: std::ops::Range<u32>) -> Vec<RgbImage> {
    seeds.map(|seed| thing(shape, cloths[seed as usize % cloths.len()], seed)).collect()
}

/// A folder with three things, each on every cloth.
fn things(name: &str) -> Folder {
    let folder = Folder::new(name);
    let things = folder.0.join("things");
    class(&things, "disc", pictures(Shape::Disc, &CLOTHS, 1..13));
    class(&things, "cross", pictures(Shape::Cross, &CLOTHS, 21..33));
    class(&things, "stripes", pictures(Shape::Stripes, &CLOTHS, 41..53));
    folder
}

/// Teaches from a folder; returns what it prints as JSON.
fn teach(folder: &Path, out: &str) -> Value {
    let output = whycam(&["teach", &folder.display().to_string(), "-o", out, "--json", "-", "--force"]);
    assert_ok(&output);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_folder_becomes_a_model_that_every_command_takes() {
    let folder = things("teach-folder");
    let model = folder.file("mine.onnx");
    let taught = teach(&folder.0.join("things"), &model);
    assert!(taught["accuracy"].as_f64().unwrap() >= 0.9, "{taught}");
    assert_eq!(taught["pictures"], 36);
    for of_class in taught["classes"].as_array().unwrap() {
        assert_eq!(of_class["recognised_by_background"], false, "{taught}");
    }
    let new = folder.0.join("new");
    class(&new, "disc", pictures(Shape::Disc, &CLOTHS, 100..104));
    class(&new, "cross", pictures(Shape::Cross, &CLOTHS, 104..108));
    class(&new, "stripes", pictures(Shape::Stripes, &CLOTHS, 108..112));
    let new = new.display().to_string();
    let evaluated =
        whycam(&["evaluate", &new, "--model", &model, "--sample", "2", "--grids", "2", "--json", "-", "-q"]);
    assert_ok(&evaluated);
    let evaluated: Value = serde_json::from_slice(&evaluated.stdout).unwrap();
    assert!(evaluated["accuracy"].as_f64().unwrap() >= 0.9, "{evaluated}");
    let explained = whycam(&["explain", &new, "--model", &model, "--json", "-"]);
    assert_ok(&explained);
    let lines = json_lines(&stdout(&explained));
    assert!(lines.iter().all(|line| line["map"]["evidence"] == true && line["sure"].is_boolean()), "{lines:?}");
    let prepared = folder.file("why.onnx");
    assert_ok(&whycam(&["prepare", &model, "-o", &prepared, "--cam"]));
    let again = whycam(&["explain", &new, "--model", &prepared, "--json", "-"]);
    assert_ok(&again);
    for (line, other) in lines.iter().zip(json_lines(&stdout(&again))) {
        let [ours, theirs] = [line, &other].map(|line| line["logit"].as_f64().unwrap());
        assert!((ours - theirs).abs() < 1e-3 && line["label"] == other["label"], "{line} {other}");
    }
    let inspected = stdout(&whycam(&["inspect", &model]));
    assert!(inspected.contains("3 classes"), "{inspected}");
    let existing = whycam(&["teach", &folder.0.join("things").display().to_string(), "-o", &model]);
    assert_eq!(existing.status.code(), Some(1));
    assert!(stderr(&existing).contains("--force overwrites it"), "{}", stderr(&existing));
}

/// A picture of no class is less familiar than the taught ones.
#[test]
fn other_things_are_not_sure() {
    let folder = things("teach-known");
    let model = folder.file("mine.onnx");
    teach(&folder.0.join("things"), &model);
    let new = folder.0.join("new");
    class(&new, "known", pictures(Shape::Disc, &CLOTHS, 200..210));
    let static_noise =
        |seed: u32| RgbImage::from_fn(320, 240, |x, y| image::Rgb([(x * y * (7 + seed) % 256) as u8; 3]));
    class(&new, "other", (0..10).map(static_noise));
    let explained = whycam(&["explain", &new.display().to_string(), "--model", &model, "--json", "-"]);
    assert_ok(&explained);
    let sure = |name: &str| {
        let lines = json_lines(&stdout(&explained));
        let of = lines.iter().filter(|line| line["input"].as_str().unwrap().contains(name));
        of.filter(|line| line["sure"] == true).count()
    };
    assert!(sure("/known/") >= 8 && sure("/other/") <= 2, "{} {}", sure("/known/"), sure("/other/"));
}

/// Both classes show all things, each class on its own cloth: only the cloth tells them apart.
#[test]
fn a_class_that_is_recognised_by_its_background_is_named() {
    let folder = Folder::new("teach-cheat");
    let things = folder.0.join("things");
    for (name, cloth, first) in [("red", CLOTHS[0], 1), ("blue", CLOTHS[1], 31)] {
        let shapes = [Shape::Disc, Shape::Cross, Shape::Stripes];
        class(&things, name, (first..first + 15).map(|seed| thing(shapes[seed as usize % 3], cloth, seed)));
    }
    let out = folder.file("mine.onnx");
    let taught = teach(&things, &out);
    assert!(taught["accuracy"].as_f64().unwrap() >= 0.9, "the cloth tells them apart: {taught}");
    for of_class in taught["classes"].as_array().unwrap() {
        assert_eq!(of_class["recognised_by_background"], true, "{taught}");
    }
    let text = stderr(&whycam(&["teach", &things.display().to_string(), "-o", &out, "--force"]));
    assert!(text.contains("class red is recognised by its background"), "{text}");
}

#[test]
fn folders_that_teach_nothing_are_refused_by_name() {
    let folder = Folder::new("teach-refused");
    let out = folder.file("mine.onnx");
    let refused = |name: &str, extra: &[&str]| {
        let things = folder.0.join(name).display().to_string();
        let output = whycam(&[&["teach", &things, "-o", &out][..], extra].concat());
        assert!(!Path::new(&out).exists(), "{name} writes a model");
        (output.status.code(), stderr(&output))
    };
    class(&folder.0.join("one"), "disc", pictures(Shape::Disc, &CLOTHS, 1..4));
    let (status, text) = refused("one", &[]);
    assert!(status == Some(1) && text.contains("one class, disc"), "{text}");
    fs::create_dir_all(folder.0.join("empty/a")).unwrap();
    assert!(refused("empty", &[]).1.contains("no class folders with photos"));
    assert!(refused("absent", &[]).1.contains("absent: no such file or folder"));
    class(&folder.0.join("broken"), "disc", pictures(Shape::Disc, &CLOTHS, 1..4));
    fs::create_dir_all(folder.0.join("broken/cross")).unwrap();
    fs::write(folder.0.join("broken/cross/1.jpg"), b"no picture").unwrap();
    let (status, text) = refused("broken", &[]);
    assert!(status == Some(1) && text.contains("cross: no picture of this class can be read"), "{text}");
    let (status, text) = refused("broken", &["--backbone", &support::net("resnet.legacy"), "--camera", "0"]);
    assert!(status == Some(2) && text.contains("--camera is for whycam teach --live"), "{text}");
    let (status, text) = refused("broken", &["--labels", "coco"]);
    assert!(status == Some(2) && text.contains("--labels is not for teaching"), "{text}");
}

#[test]
fn odd_pictures_give_a_sound_model() {
    let folder = Folder::new("teach-odd");
    let (things, out) = (folder.0.join("things"), folder.file("mine.onnx"));
    // One picture in a class, the same picture in two classes, and one that is broken.
    class(&things, "alone", pictures(Shape::Cross, &CLOTHS, 1..2));
    class(&things, "disc", pictures(Shape::Disc, &CLOTHS, 1..5));
    class(&things, "same", pictures(Shape::Disc, &CLOTHS, 1..3));
    fs::write(things.join("same/zz.png"), b"\x89PNG\r\n\x1a\n").unwrap();
    let output = whycam(&["teach", &things.display().to_string(), "-o", &out]);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for words in ["zz.png", "are near copies, and of different classes", "no accuracy can be measured"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let explained = whycam(&["explain", &things.display().to_string(), "--model", &out, "--json", "-"]);
    let lines = json_lines(&stdout(&explained));
    assert_eq!(lines.len(), 7, "{}", stderr(&explained));
    for line in lines {
        let top = line["top"].as_array().unwrap();
        let sum: f64 = top.iter().map(|entry| entry["probability"].as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-3, "{line}");
    }
}

/// The short form of 500 classes.
#[test]
fn many_classes_are_taught() {
    let folder = Folder::new("teach-many");
    let things = folder.0.join("things");
    for number in 0..40_u32 {
        let colour = [number * 97 % 256, number * 57 % 256, number * 151 % 256].map(|channel| channel as u8);
        class(&things, &format!("colour {number}"), (1..3).map(|seed| thing(Shape::Cross, colour, seed)));
    }
    let taught = teach(&things, &folder.file("mine.onnx"));
    assert_eq!(taught["classes"].as_array().unwrap().len(), 40);
}

/// Keys held on a film that shows three things in turn, each for five seconds.
#[test]
fn things_are_taught_by_holding_keys() {
    let folder = Folder::new("teach-live-film");
    let shown: Vec<RgbImage> = [Shape::Disc, Shape::Cross, Shape::Stripes]
        .into_iter()
        .flat_map(|shape| (1..26).map(move |seed| thing(shape, CLOTHS[3], seed)))
        .collect();
    let film = film_of(&folder, "things.mp4", &shown, 2);
    let live = ["teach", "--live", "--input", &film, "--loop", "--classes", "disc,cross", "-o", "mine.onnx"];
    let mut desktop = Desktop::new("teach-live", &[&live[..], &["--json", "lines.json"]].concat());
    desktop.wait_for_picture();
    let label = |desktop: &Desktop| desktop.lines().last().map(|line| line["label"].as_str().unwrap_or("").to_owned());
    let at = |desktop: &Desktop| desktop.lines().last().map_or(0, |line| line["pts_us"].as_i64().unwrap() % 15_000_000);
    let album = |desktop: &Desktop, class: &str| {
        fs::read_dir(desktop.folder.0.join("mine").join(class)).map_or(0, Iterator::count)
    };
    for (key, class, from) in [("1", "disc", 0), ("2", "cross", 5_000_000), ("3", "class 3", 10_000_000)] {
        desktop.wait("the thing is shown", |desktop| (from + 500_000..from + 2_500_000).contains(&at(desktop)));
        desktop.hold(key);
        desktop.wait("pictures are taken", |desktop| album(desktop, class) >= 3);
        desktop.release(key);
    }
    for (name, from) in [("disc", 0), ("cross", 5_000_000), ("class 3", 10_000_000)] {
        desktop.wait("it is recognised", |desktop| {
            (from + 1_000_000..from + 5_000_000).contains(&at(desktop)) && label(desktop).as_deref() == Some(name)
        });
    }
    desktop.press("e");
    desktop.press("u");
    desktop.wait("the last pictures are taken back", |desktop| album(desktop, "class 3") == 0);
    desktop.press("u");
    desktop.wait("so are those before", |desktop| album(desktop, "cross") == 0);
    desktop.press("q");
    desktop.wait_for_end();
    assert!(desktop.folder.0.join("mine.onnx").exists() && album(&desktop, "disc") >= 3);
    let text = fs::read_to_string(desktop.folder.file("stderr")).unwrap();
    assert!(text.contains("nothing is written, since there are not two classes"), "{text}");
}

/// The published net in PyTorch gives these logits (tests/reference/teaching.py); the file stores its weights as float16.
#[test]
fn objects_agrees_with_the_published_net() {
    let wanted = fs::read_to_string(support::reference("teaching/objects.json")).unwrap();
    let wanted: Vec<(usize, f32)> = serde_json::from_str(&wanted).unwrap();
    let mut explainer = whycam::Explainer::builder().model("objects").build().unwrap();
    let wave = |at: &[usize]| ((0.02 * (at[1] + 1) as f64 * at[3] as f64) + 0.05 * at[2] as f64).sin() as f32;
    let input = ndarray::ArrayD::from_shape_fn(vec![1, 3, 260, 260], |at| wave(&[at[0], at[1], at[2], at[3]]));
    let explanation = explainer.explain_tensor(input.view()).unwrap();
    let top = &explanation.classes().unwrap().top;
    assert!(top.len() >= 5);
    for (ours, (class, logit)) in top.iter().zip(&wanted) {
        assert!(ours.class_index == *class && (ours.logit - logit).abs() < 0.02, "{ours:?}: {class} {logit}");
    }
    assert_eq!(explainer.context().labels.len(), 1000);
}
