//! Training on a folder of class folders gives a model and a manifest that whycam takes.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::support::{Folder, data_file, stderr, stdout, whycam};

const REMEDY: &str = "set WHYCAM_TRAINING_PYTHON to a Python with models/training/requirements.txt";

mod needs_training_python {
    mod needs_data {
        use super::super::*;

        #[test]
        #[ignore = "trains; set WHYCAM_TRAINING_PYTHON and WHYCAM_TEST_DATA, and run make test"]
        fn a_few_photos_of_other_classes_become_a_model_that_whycam_takes() {
            let photos = data_file("flowers256/train");
            let folder = Folder::new("training");
            for (class, name) in [("daisy", "white"), ("sunflowers", "yellow"), ("roses", "red")] {
                let files: Vec<PathBuf> = std::fs::read_dir(photos.join(class))
                    .unwrap()
                    .map(|entry| entry.unwrap().path())
                    .take(12)
                    .collect();
                for (part, files) in [("train", &files[..8]), ("val", &files[8..10]), ("test", &files[10..])] {
                    let into = folder.0.join(part).join(name);
                    std::fs::create_dir_all(&into).unwrap();
                    for file in files {
                        std::fs::copy(file, into.join(file.file_name().unwrap())).unwrap();
                    }
                }
            }
            for script in ["flowers", "flowers_vgg"] {
                let run = |epochs: &str, resume: &[&str]| {
                    let output = Command::new(std::env::var_os("WHYCAM_TRAINING_PYTHON").expect(REMEDY))
                        .arg(format!("{}/models/training/{script}.py", env!("CARGO_MANIFEST_DIR")))
                        .args([
                            folder.file("train"),
                            "--val".into(),
                            folder.file("val"),
                            "--test".into(),
                            folder.file("test"),
                        ])
                        .args(["--out".into(), folder.file(""), "--name".into(), script.into()])
                        .args([
                            "--checkpoint".into(),
                            folder.file(&format!("{script}.pt")),
                            "--epochs".into(),
                            epochs.into(),
                        ])
                        .args(resume)
                        .output()
                        .expect(REMEDY);
                    assert!(output.status.success(), "{}", stderr(&output));
                    stdout(&output)
                };
                assert!(run("2", &[]).contains("epoch 2/2"));
                assert!(!run("2", &["--resume"]).contains("epoch"), "a finished run started again");
                let model = folder.file(&format!("{script}.onnx"));
                let output = whycam(&["explain", &folder.file("test"), "--model", &model, "--json", "-", "-q"]);
                assert!(output.status.success(), "{}", stderr(&output));
                for line in stdout(&output).lines() {
                    let line: Value = serde_json::from_str(line).unwrap();
                    assert!(["red", "white", "yellow"].contains(&line["label"].as_str().unwrap()), "{line}");
                    assert!(line["map"]["evidence"].is_boolean());
                }
            }
        }
    }
}
