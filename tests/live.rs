//! Live view as a person uses it: films, streams, recordings, a real window with real keys.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::desktop::Desktop;
use support::streams::{RtspServer, end, free_port, number_before, serve_http};
use support::{
    Folder, assert_ok, command, complete_lines, film, frame_times, json_lines, stderr, stdout, wait_until, whycam,
};

#[test]
fn a_film_is_played_live_at_its_own_speed_over_and_over() {
    let folder = Folder::new("live-film");
    let input = film(&folder, "in.mp4", &["-frames:v", "25"]);
    let began = Instant::now();
    let output = whycam(&["live", "--input", &input, "--loop", "--headless", "--seconds", "3", "--json", "-"]);
    assert_ok(&output);
    assert!(began.elapsed() >= Duration::from_secs(3));
    let lines = json_lines(&stdout(&output));
    let times: Vec<i64> = lines.iter().map(|line| line["pts_us"].as_i64().unwrap()).collect();
    assert!(times.is_sorted() && times.last() > Some(&1_500_000), "{times:?}");
    let missing = whycam(&["live", "--input", "nowhere.mp4", "--headless"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("nowhere.mp4: no such file"), "{}", stderr(&missing));
}

/// Averaging over 25 noisy copies takes several times as long as a frame of the film lasts.
#[test]
fn the_newest_frame_wins_under_a_slow_method() {
    let folder = Folder::new("live-slow");
    let input = film(&folder, "in.mp4", &[]);
    let slow = ["--method", "smooth-grad-cam++", "--loop", "--headless", "--frames", "12"];
    let output = whycam(&[&["live", "--input", &input, "--json", "-"][..], &slow].concat());
    assert_ok(&output);
    let text = stderr(&output);
    let [captured, explained, dropped] =
        [" = explained", " + dropped", ", in "].map(|words| number_before(&text, words) as u64);
    assert!(dropped >= 3, "nothing was dropped: {text}");
    assert!(captured == explained + dropped && explained == 12, "{text}");
    // Frames of the film last 40 ms; those that came meanwhile are skipped, and none is explained late.
    let times: Vec<i64> = json_lines(&stdout(&output)).iter().map(|line| line["pts_us"].as_i64().unwrap()).collect();
    assert!(times.is_sorted() && times.windows(2).any(|pair| pair[1] - pair[0] >= 80_000), "{times:?}");
}

/// At this layer Recipro-CAM takes 16,384 runs, which are minutes.
const SLOW: [&str; 4] = ["--method", "recipro-cam", "--layer", "/_blocks.0/_project_conv/Conv_output_0"];

#[test]
fn a_map_that_takes_minutes_does_not_delay_the_end() {
    let output = whycam(&[&["demo", "--headless", "--seconds", "2"][..], &SLOW].concat());
    assert_ok(&output);
    assert!(stderr(&output).contains("= explained 0 +"), "{}", stderr(&output));
}

#[test]
fn a_map_that_takes_minutes_is_reported_and_gives_way_to_a_key() {
    let mut desktop = Desktop::new("slow-map", &[&["demo", "--seconds", "120"][..], &SLOW].concat());
    desktop.wait("the window says so", |desktop| desktop.titled("this map takes long"));
    desktop.press("l");
    desktop.wait("there is a map of the next layer", |desktop| desktop.titled("whycam - drawn"));
    desktop.press("q");
    desktop.wait_for_end();
}

#[test]
fn a_stream_over_http_is_explained() {
    let folder = Folder::new("live-http");
    let input = film(&folder, "in.mp4", &["-frames:v", "50"]);
    let address = format!("http://127.0.0.1:{}/", free_port());
    let server = serve_http(&input, &address);
    let output = whycam(&["live", "--input", &address, "--headless", "--frames", "10", "--json", "-"]);
    end(server);
    assert_ok(&output);
    assert_eq!(json_lines(&stdout(&output)).len(), 10);
}

#[test]
fn a_stream_over_rtsp_is_explained() {
    let folder = Folder::new("live-rtsp");
    let input = film(&folder, "in.mp4", &["-frames:v", "50"]);
    let server = RtspServer::start(&input);
    let output = whycam(&["live", "--input", &server.address(), "--headless", "--frames", "10", "--json", "-"]);
    drop(server);
    assert_ok(&output);
    assert_eq!(json_lines(&stdout(&output)).len(), 10);
}

#[test]
fn a_stream_that_goes_away_is_looked_for_with_a_message_in_the_window() {
    let folder = Folder::new("live-away");
    let input = film(&folder, "in.mp4", &["-frames:v", "50"]);
    let address = format!("http://127.0.0.1:{}/", free_port());
    let server = serve_http(&input, &address);
    let mut desktop = Desktop::new("away", &["live", "--input", &address, "--json", "lines.json"]);
    desktop.wait_for_picture();
    end(server);
    desktop.wait("the window says that the stream has ended", |desktop| desktop.titled("the stream has ended"));
    let before = desktop.lines().len();
    let server = serve_http(&input, &address);
    desktop
        .wait("the stream goes on", |desktop| desktop.titled("whycam - http") && desktop.lines().len() > before + 10);
    end(server);
}

#[test]
fn a_recording_plays_whatever_ended_it() {
    for ending in ["mp4", "mkv", "webm"] {
        let folder = Folder::new(&format!("killed-{ending}"));
        let input = film(&folder, "in.mp4", &["-frames:v", "50"]);
        let (record, json) = (folder.file(&format!("out.{ending}")), folder.file("out.json"));
        let mut run =
            command(&["live", "--input", &input, "--loop", "--headless", "--record", &record, "--json", &json]);
        let mut run = run.stderr(Stdio::null()).spawn().unwrap();
        let explained_us = || complete_lines(&json).last().and_then(|line| line["pts_us"].as_i64()).unwrap_or(0);
        wait_until("three seconds are explained", || explained_us() >= 3_000_000);
        // SIGKILL: nothing is completed.
        run.kill().unwrap();
        run.wait().unwrap();
        let last = explained_us() as f64 / 1e6;
        let times = frame_times(&record);
        let plays = times.last().copied().unwrap_or(0.0);
        assert!(last > 1.0 && last - plays < 1.0, "{ending}: explained for {last} s, and {plays} s play");
    }
}

#[test]
fn the_window_shows_the_explained_picture() {
    Desktop::new("window", &["demo", "--seconds", "30"]).wait_for_picture();
}

#[test]
fn keys_steer_the_window() {
    let mut desktop = Desktop::new("keys", &["demo", "--seconds", "90", "--json", "lines.json"]);
    desktop.wait_for_picture();
    // A key changes the held picture, and the same key again restores it.
    desktop.press("space");
    let held = desktop.wait_for_held_picture();
    for key in ["h", "v", "t", "i"] {
        desktop.press_to_change(key);
        desktop.press(key);
        desktop.wait(&format!("{key} twice leads back"), |desktop| desktop.screenshot() == held);
    }
    for key in ["c", "plus", "minus"] {
        desktop.press_to_change(key);
    }
    desktop.press("space");
    desktop.press_to_change("f");
    desktop.press("m");
    desktop.wait_for_lines("M takes the next method", |line| line["method"] == "grad-cam++");
    desktop.press("2");
    let of_second = |line: &Value| line["class_index"] != line["top"][0]["class_index"];
    desktop.wait_for_lines("2 explains the second class", of_second);
    desktop.press("s");
    let written = |desktop: &Desktop| !complete_lines(&desktop.folder.file("whycam-1.json")).is_empty();
    desktop.wait("a snapshot is written", written);
    assert_snapshot(&desktop.folder, of_second);
    record_a_second(&mut desktop);
    desktop.press("q");
    desktop.wait_for_end();
    assert!(frame_times(&desktop.folder.file("whycam-1.mp4")).len() > 10, "the recording holds a second");
}

fn assert_snapshot(folder: &Folder, of_second: impl Fn(&Value) -> bool) {
    let line = fs::read_to_string(folder.0.join("whycam-1.json")).unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["method"], "grad-cam++", "M takes the next method");
    assert!(of_second(&line), "2 explains the second class: {line}");
    let [shown, plain] =
        ["whycam-1.png", "whycam-1.plain.png"].map(|name| image::open(folder.0.join(name)).unwrap().to_rgb8());
    assert_eq!(shown.dimensions(), plain.dimensions());
    assert!(shown != plain, "the snapshot has no map");
}

/// Records more than a second by the key R, which whycam writes to `whycam-1.mp4`.
fn record_a_second(desktop: &mut Desktop) {
    desktop.press("r");
    desktop.wait("a recording is there", |desktop| desktop.folder.0.join("whycam-1.mp4").exists());
    let before = desktop.lines().len();
    desktop.wait("a second is recorded", |desktop| desktop.lines().len() > before + 40);
    desktop.press("r");
}
