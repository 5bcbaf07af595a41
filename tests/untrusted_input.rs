//! Hostile input: the short form of the fuzz targets in `tests/fuzz`.

use std::process::Command;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use whycam::model::Manifest;
use whycam::onnx::OnnxModel;

use crate::support::edits;

fn check<S: Strategy>(cases: u32, strategy: S, test: impl Fn(S::Value)) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&strategy, |value| {
        test(value);
        Ok(())
    });
    outcome.unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn no_bytes_break_the_reader_of_models() {
    check(2000, vec(any::<u8>(), 0..300), |bytes| drop(OnnxModel::from_bytes("any", bytes)));
    let whole = include_bytes!("reference/models/resnet.legacy.onnx");
    check(500, vec((0..whole.len(), any::<u8>()), 1..20), |changes| {
        let mut bytes = whole.to_vec();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        if let Ok(model) = OnnxModel::from_bytes("changed", bytes) {
            let _ = OnnxModel::from_bytes("again", model.to_bytes());
        }
    });
}

#[test]
fn no_edit_breaks_the_differentiator() {
    let nets = edits::nets();
    check(150, vec(any::<u8>(), 0..60), |script| edits::differentiate_edited(&nets, &script));
}

#[test]
fn the_contract_that_texts_are_put_into_is_whole() {
    for (field, value) in edits::CONTRACT {
        let contract = edits::read_contract(field, value).unwrap().unwrap();
        assert_eq!((contract.layer.as_str(), contract.labels.len()), ("active", 2));
    }
}

#[test]
fn no_text_breaks_the_readers_of_manifests_and_metadata() {
    let words = "[\\[\\]{}\"=.,0-9a-z\\n -]{0,200}";
    check(1000, words, |text| drop(Manifest::parse(&text)));
    check(1000, words, |text| edits::read_damaged_contracts(&text));
    let number = prop_oneof![Just("1e99"), Just("-1"), Just("nan"), Just("inf"), Just("0"), Just("99999999999")];
    let key = prop_oneof![Just("width"), Just("height"), Just("scale"), Just("channels"), Just("crop"), Just("std")];
    check(200, (key, number), |(key, number)| {
        let text = format!("name = 'x'\n[input]\nwidth = 8\nheight = 8\nscale = 1.0\n{key} = {number}\n");
        drop(Manifest::parse(&text));
    });
}

#[test]
fn no_command_line_breaks_the_program() {
    let word = prop_oneof![
        proptest::sample::select(vec![
            "explain",
            "inspect",
            "prepare",
            "bench",
            "evaluate",
            "models",
            "methods",
            "--json",
            "-",
            "--model",
            "flowers",
            "--class",
            "top3",
            "--threads",
            "--frames",
            "--size",
            "0x0",
            "--alpha",
            "-o",
            "--shard",
            "3/2",
            "--layer",
            "--contrast",
            "--scale",
            "--device",
            "--quality",
            "--seconds",
            "",
            "nan",
            "1e9999",
            "--maps",
            "--",
        ])
        .prop_map(str::to_owned),
        "[^\\x00]{0,12}",
        any::<i64>().prop_map(|number| number.to_string()),
    ];
    let folder = std::env::temp_dir().join(format!("whycam-words-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    check(60, vec(word, 1..7), |words| {
        // Neither starts the demo or opens a camera.
        let mut command = Command::new(env!("CARGO_BIN_EXE_whycam"));
        command.args(["methods"]).args(&words).current_dir(&folder).env_remove("DISPLAY");
        let first = command.output().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_whycam"));
        command.args(["explain", "nowhere.png"]).args(&words).current_dir(&folder).env_remove("DISPLAY");
        for output in [first, command.output().unwrap()] {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(matches!(output.status.code(), Some(0..=2)) && !said.contains("panicked"), "{words:?}: {said}");
        }
    });
    std::fs::remove_dir_all(&folder).unwrap();
}
