//! Large collections: shared out to several runs, and resumed after a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{
    Folder, assert_fails, assert_ok, command, complete_lines, film, frame_times, json_lines, picture, stderr, stdout,
    wait_until, whycam,
};

/// Six pictures and a film.
fn collection(folder: &Folder) -> String {
    let photos = folder.0.join("photos");
    fs::create_dir(&photos).unwrap();
    for number in 0..6 {
        picture(folder, &format!("photos/{number}.png"), 60 + 7 * number, 50);
    }
    film(folder, "photos/film.mp4", &["-frames:v", "12"]);
    photos.display().to_string()
}

/// The bytes of all files in a folder except resume logs, and the sorted lines of all its JSON files.
fn results(folder: &Folder, name: &str) -> Results {
    let (mut files, mut lines) = (BTreeMap::new(), Vec::new());
    for entry in fs::read_dir(folder.0.join(name)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is = |extension: &str| path.extension().is_some_and(|e| e == extension);
        if is("jsonl") {
            lines.extend(fs::read_to_string(&path).unwrap().lines().map(str::to_owned));
        } else if path.is_file() && !is("done") {
            files.insert(name, fs::read(&path).unwrap());
        }
    }
    lines.sort();
    (files, lines)
}

type Results = (BTreeMap<String, Vec<u8>>, Vec<String>);

/// The same files and lines. The bytes of a film may differ: build 164 of x264 decides by uninitialised memory.
fn assert_same(one: &Results, other: &Results) {
    assert_eq!(one.0.keys().collect::<Vec<_>>(), other.0.keys().collect::<Vec<_>>());
    let differs = |name: &&String| !name.starts_with("film") && one.0[*name] != other.0[*name];
    let differing: Vec<&String> = one.0.keys().filter(differs).collect();
    assert!(differing.is_empty(), "{differing:?} differ");
    assert_eq!(one.1, other.1);
}

fn explain(folder: &Folder, photos: &str, into: &str, part: &str) -> Vec<String> {
    let number = part.split('/').next().unwrap();
    let (out, json) = (folder.file(&format!("{into}/")), folder.file(&format!("{into}/{number}.jsonl")));
    let arguments = ["explain", photos, "-o", &out, "--json", &json, "--maps", &out, "--shard", part, "--quiet"];
    arguments.map(str::to_owned).to_vec()
}

fn run(arguments: &[String], extra: &[&str]) -> std::process::Output {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(extra.iter().copied()).collect();
    whycam(&arguments)
}

#[test]
fn shards_together_give_the_results_of_one_run() {
    let folder = Folder::new("shards");
    let photos = collection(&folder);
    for parts in [1, 3, 9] {
        fs::create_dir(folder.0.join(format!("of-{parts}"))).unwrap();
        for part in 1..=parts {
            assert_ok(&run(&explain(&folder, &photos, &format!("of-{parts}"), &format!("{part}/{parts}")), &[]));
        }
    }
    let whole = results(&folder, "of-1");
    assert_eq!(whole.1.len(), 18);
    assert_eq!(whole.0.len(), 7 + 18, "{:?}", whole.0.keys());
    for parts in ["of-3", "of-9"] {
        let shared = results(&folder, parts);
        assert_same(&whole, &shared);
        let films = ["of-1", parts].map(|name| frame_times(&folder.file(&format!("{name}/film.whycam.mp4"))));
        assert!(films[0].len() == 12 && films[0] == films[1], "{films:?}");
    }
    let wrong = whycam(&["explain", &photos, "--shard", "4/3"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("from 1/8 to 8/8"));
}

#[test]
fn a_killed_run_continues_where_it_stopped() {
    let folder = Folder::new("resumed");
    let photos = collection(&folder);
    for name in ["once", "twice"] {
        fs::create_dir(folder.0.join(name)).unwrap();
    }
    assert_ok(&run(&explain(&folder, &photos, "once", "1/1"), &[]));
    let arguments = explain(&folder, &photos, "twice", "1/1");
    let words: Vec<&str> = arguments.iter().map(String::as_str).chain(["--resume", "--threads", "1"]).collect();
    let log = folder.file("twice/1.jsonl.done");
    let done = || {
        fs::read_to_string(&log)
            .map_or(0, |text| text.lines().filter(|line| !line.starts_with('[')).count().saturating_sub(1))
    };
    let mut kills = 0;
    for wanted in [1, 4] {
        let mut child = command(&words).stderr(Stdio::null()).spawn().unwrap();
        wait_until("some inputs are done", || done() >= wanted || child.try_wait().unwrap().is_some());
        kills += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(kills > 0 && done() < 7, "it was done before it could be killed");
    // The file that a run leaves if it is killed in the middle of a film.
    fs::write(folder.file("twice/.4194305.part.film.whycam.mp4"), "cut off").unwrap();
    let before = done();
    assert_ok(&run(&arguments, &["--resume"]));
    assert_eq!(done(), 7, "{before} before");
    let (once, twice) = (results(&folder, "once"), results(&folder, "twice"));
    assert_same(&once, &twice);
    let again = whycam(&words.iter().copied().filter(|word| *word != "--quiet").collect::<Vec<_>>());
    assert_ok(&again);
    assert!(stderr(&again).contains("nothing is left to do"), "{}", stderr(&again));
    let other = run(&arguments, &["--resume", "--method", "layer-cam"]);
    assert_eq!(other.status.code(), Some(1));
    assert!(stderr(&other).contains("a run with other options"), "{}", stderr(&other));
}

#[test]
fn gnu_parallel_shares_a_collection_out() {
    let folder = Folder::new("parallel");
    let photos = collection(&folder);
    fs::create_dir(folder.0.join("out")).unwrap();
    let line = explain(&folder, &photos, "out", "{}/2").join(" ");
    let line = format!("{} {line} --threads 1 --resume", env!("CARGO_BIN_EXE_whycam"));
    let output = Command::new("parallel").args(["--jobs", "2", &line, ":::", "1", "2"]).output();
    assert_ok(&output.unwrap_or_else(|e| panic!("parallel: {e}; run `make setup`")));
    assert_eq!(results(&folder, "out").1.len(), 18);
}

#[test]
fn a_run_is_resumed_with_the_same_options_in_any_words_and_with_no_others() {
    let folder = Folder::new("resume");
    fs::create_dir(folder.0.join("photos")).unwrap();
    for name in ["a", "b"] {
        picture(&folder, &format!("photos/{name}.png"), 64, 48);
    }
    let [photos, json, maps] = ["photos", "out.jsonl", "maps"].map(|name| folder.file(name));
    let run = ["explain", &photos, "--json", &json, "--maps", &maps, "--resume"];
    assert_ok(&whycam(&run));
    let done = || json_strings(&folder.file("out.jsonl.done")).len();
    // The first line is about the options, and each other line about an input.
    assert_eq!((complete_lines(&json).len(), done()), (2, 3));
    picture(&folder, "photos/c.png", 64, 48);
    let defaults = ["--method", "grad-cam", "--class", "top", "--fuse", "max", "--maps-as", "npy", "--alpha", "0.4"];
    assert_ok(&whycam(&[&run[..], &defaults].concat()));
    assert_eq!((complete_lines(&json).len(), done()), (3, 4));
    let again = whycam(&run);
    assert_ok(&again);
    assert!(stderr(&again).contains("nothing is left to do"), "{}", stderr(&again));
    assert_fails(&[&run[..], &["--method", "layer-cam"]].concat(), 1, &["out.jsonl.done", "a run with other options"]);
    assert_eq!(done(), 4);
}

#[test]
fn results_keep_their_names_when_inputs_come_and_go() {
    let folder = Folder::new("grown");
    fs::create_dir(folder.0.join("photos")).unwrap();
    for (name, side) in [("a", 40), ("c", 50)] {
        picture(&folder, &format!("photos/{name}.png"), side, side);
    }
    let [photos, json, maps, out] = ["photos", "out.jsonl", "maps", "out/"].map(|name| folder.file(name));
    let run = ["explain", &photos, "--json", &json, "--maps", &maps, "-o", &out, "--resume"];
    assert_ok(&whycam(&run));
    let files = || ["maps", "out"].map(|of| results(&folder, of).0);
    let before = files();
    for (name, side) in [("0.png", 60), ("a.jpg", 70), ("b.png", 80)] {
        picture(&folder, &format!("photos/{name}"), side, side);
    }
    fs::remove_file(folder.0.join("photos/c.png")).unwrap();
    assert_ok(&whycam(&run));
    let after = files();
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(after.len(), before.len() + 3);
        assert!(before.iter().all(|(name, bytes)| after[name] == *bytes), "a result was replaced");
    }
    let lines = complete_lines(&json);
    let named: BTreeSet<String> = lines.iter().map(|line| line["map_file"].as_str().unwrap().to_owned()).collect();
    assert_eq!((lines.len(), named.len()), (5, 5));
    // Other outputs are other work.
    let elsewhere = folder.file("elsewhere/");
    let other = [&run[..6], &["-o", &elsewhere, "--resume"]].concat();
    assert_fails(&other, 1, &["out.jsonl.done", "a run with other options"]);
}

#[test]
fn a_start_that_fails_leaves_nothing() {
    let folder = Folder::new("failed-start");
    let (photo, json) = (picture(&folder, "a.png", 40, 40), folder.file("a.jsonl"));
    assert_fails(&["explain", &photo, "--json", &json, "--resume", "--class", "nosuch"], 2, &["nosuch"]);
    assert!(!Path::new(&json).exists() && !Path::new(&format!("{json}.done")).exists());
}

#[test]
fn standard_output_is_continued_on_standard_output() {
    let folder = Folder::new("resumed-output");
    let (photo, out) = (picture(&folder, "a.png", 40, 40), folder.file("out/"));
    for (lines, more) in [(1, vec![]), (1, vec![picture(&folder, "b.png", 40, 40)])] {
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        let run = command(&[&["explain", &photo, "-o", &out, "--json", "-", "--resume"], &more[..]].concat());
        let output = { run }.current_dir(&folder.0).output().unwrap();
        assert_ok(&output);
        assert_eq!(json_lines(&stdout(&output)).len(), lines);
    }
    assert!(!folder.0.join("-").exists());
}

fn json_strings(path: &str) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
