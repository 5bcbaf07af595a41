//! Live view as a person has it: films, streams, recordings, a real window with real keys.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use serde_json::Value;
use support::desktop::Desktop;
use support::streams::{end, free_port, number_before, serve_http};
use support::{Folder, assert_ok, command, film, frame_times, json_lines, stderr, stdout, whycam};

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
    let output = whycam(&[&["live", "--input", &input][..], &slow].concat());
    assert_ok(&output);
    let text = stderr(&output);
    let explained_ms = 1000.0 / number_before(&text, " a second");
    let [age, frame_ms] = [number_before(&text, " ms old"), 40.0];
    assert!(number_before(&text, ", in ") >= 3.0, "nothing was dropped: {text}");
    assert!(age <= 1.1 * explained_ms + frame_ms, "{age} ms old where an explanation takes {explained_ms} ms: {text}");
}

/// At this layer Recipro-CAM takes 16,384 runs, which are minutes.
const SLOW: [&str; 4] = ["--method", "recipro-cam", "--layer", "/_blocks.0/_project_conv/Conv_output_0"];

#[test]
fn a_map_that_takes_minutes_holds_up_no_end() {
    let output = whycam(&[&["demo", "--headless", "--seconds", "2"][..], &SLOW].concat());
    assert_ok(&output);
    assert!(stderr(&output).contains("= explained 0 +"), "{}", stderr(&output));
}

#[test]
fn a_map_that_takes_minutes_is_said_to_and_gives_way_to_a_key() {
    let mut desktop = Desktop::new("slow-map", &[&["demo", "--seconds", "120"][..], &SLOW].concat());
    desktop.wait("did the window say so", |desktop| desktop.titled("this map takes long"));
    desktop.press("l");
    desktop.wait("was there a map of the next layer", |desktop| desktop.titled("whycam - drawn"));
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
    let serve = "use AnyEvent; RTSP::Server->new_with_options->listen; AnyEvent->condvar->recv";
    let perl = |arguments: &[&str]| Command::new("perl").args(["-MRTSP::Server", "-e"]).args(arguments).spawn();
    if !perl(&["1"]).is_ok_and(|mut perl| perl.wait().is_ok_and(|status| status.success())) {
        eprintln!("SKIPPED: there is no RTSP server to test with; run `make setup`");
        return;
    }
    let folder = Folder::new("live-rtsp");
    let input = film(&folder, "in.mp4", &["-frames:v", "50"]);
    let [inward, outward, pictures] = [free_port(), free_port(), free_port()].map(|port| port.to_string());
    let server = perl(&[serve, "--", "-s", &inward, "-c", &outward, "--rtp_start_port", &pictures]).unwrap();
    thread::sleep(Duration::from_secs(2));
    let push = ["-v", "error", "-re", "-stream_loop", "50", "-i", &input, "-an", "-c", "copy", "-f", "rtsp"];
    let camera = Command::new("ffmpeg").args(push).arg(format!("rtsp://127.0.0.1:{inward}/live")).spawn().unwrap();
    thread::sleep(Duration::from_secs(2));
    let address = format!("rtsp://127.0.0.1:{outward}/live");
    let output = whycam(&["live", "--input", &address, "--headless", "--frames", "10", "--json", "-"]);
    end(camera);
    end(server);
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
    desktop.wait("did the window say that the stream has ended", |desktop| desktop.titled("the stream has ended"));
    let before = fs::read_to_string(desktop.folder.file("lines.json")).unwrap().lines().count();
    let server = serve_http(&input, &address);
    desktop.wait("did the stream go on", |desktop| {
        desktop.titled("whycam - http")
            && fs::read_to_string(desktop.folder.file("lines.json")).unwrap().lines().count() > before + 10
    });
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
        thread::sleep(Duration::from_secs(4));
        // SIGKILL: nothing is completed.
        run.kill().unwrap();
        run.wait().unwrap();
        let explained = fs::read_to_string(&json).unwrap();
        let last = json_lines(explained.trim_end()).last().unwrap()["pts_us"].as_f64().unwrap() / 1e6;
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
    let mut desktop = Desktop::new("keys", &["demo", "--seconds", "90"]);
    desktop.wait_for_picture();
    // What a key changes shows on a picture that is held, and what it changes back is the same picture again.
    desktop.press("space");
    let held = desktop.screenshot();
    thread::sleep(Duration::from_millis(700));
    assert!(held == desktop.screenshot(), "a paused picture moves");
    for key in ["h", "v", "t", "i"] {
        assert!(desktop.changed_by(key) > 200, "{key} changes nothing");
        desktop.press(key);
        assert!(held == desktop.screenshot(), "{key} twice does not lead back");
    }
    for key in ["c", "plus", "minus"] {
        assert!(desktop.changed_by(key) > 200, "{key} changes nothing");
    }
    desktop.press("space");
    assert!(desktop.changed_by("f") > 200, "the picture stands after the pause");
    desktop.press("m");
    desktop.press("2");
    desktop.press("s");
    desktop.wait("was a snapshot written", |desktop| desktop.folder.0.join("whycam-1.json").exists());
    let line = fs::read_to_string(desktop.folder.0.join("whycam-1.json")).unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["method"], "grad-cam++", "M takes the next method");
    assert_ne!(line["class_index"], line["top"][0]["class_index"], "2 explains the second class");
    let [shown, plain] =
        ["whycam-1.png", "whycam-1.plain.png"].map(|name| image::open(desktop.folder.0.join(name)).unwrap().to_rgb8());
    assert_eq!(shown.dimensions(), plain.dimensions());
    assert!(shown != plain, "the snapshot bears no map");
    desktop.press("r");
    thread::sleep(Duration::from_secs(1));
    desktop.press("r");
    let film = desktop.folder.file("whycam-1.mp4");
    assert!(frame_times(&film).len() > 10, "the recording holds a second");
    desktop.press("q");
    desktop.wait_for_end();
}
