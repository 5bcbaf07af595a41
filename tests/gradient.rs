//! `whycam gradient` on models that are not of pictures, against PyTorch's autograd.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs::{self, File};

use ndarray::ArrayD;
use ndarray_npy::NpzReader;
use support::{Folder, assert_fails, assert_ok, reference, whycam};
use whycam::Compute;
use whycam::onnx::OnnxModel;
use whycam::session::{Input, Session};

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
