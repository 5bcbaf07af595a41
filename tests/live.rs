//! Live view as a person has it: films, streams, recordings, a real window with real keys.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use serde_json::Value;
use support::desktop::Desktop;
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

/// The number that stands before some words in a text.
fn number_before(text: &str, words: &str) -> f64 {
    let before = &text[..text.find(words).unwrap_or_else(|| panic!("no '{words}' in {text}"))];
    let digits = before.rsplit(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap();
    digits.parse().unwrap_or_else(|_| panic!("no number before '{words}' in {text}"))
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

/// A film as an endless transport stream for the next one who asks.
fn serve_http(input: &str, address: &str) -> Child {
    let serve = ["-v", "error", "-re", "-stream_loop", "50", "-i", input, "-c", "copy", "-f", "mpegts", "-listen", "1"];
    let server = Command::new("ffmpeg").args(serve).arg(address).spawn().unwrap();
    thread::sleep(Duration::from_secs(1));
    server
}

fn end(mut process: Child) {
    let _ = process.kill();
    let _ = process.wait();
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
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

/// What a process takes at a moment, and how old the explanations are that it shows.
#[derive(Clone, Copy)]
struct Sample {
    memory_mb: f64,
    threads: usize,
    files: usize,
    age_ms: f64,
}

impl Sample {
    fn of(desktop: &Desktop) -> Option<Self> {
        let process = format!("/proc/{}", desktop.whycam.id());
        let entries = |of: &str| fs::read_dir(format!("{process}/{of}")).map_or(0, Iterator::count);
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let said = fs::read_to_string(desktop.folder.file("stderr")).unwrap();
        let pace = said.lines().rfind(|line| line.contains(" ms old, "))?;
        Some(Self {
            memory_mb: number_before(&status[status.find("VmRSS:")?..], " kB") / 1024.0,
            threads: entries("task"),
            files: entries("fd"),
            age_ms: number_before(pace, " ms old"),
        })
    }
}

/// Plays a film in a window while keys change what is seen, and asks that nothing grows.
fn soak(seconds: usize) {
    const KEYS: [&str; 12] = ["h", "h", "v", "t", "i", "c", "f", "f", "space", "space", "plus", "minus"];
    let folder = Folder::new("soak-film");
    let input = film(&folder, "in.mp4", &[]);
    let mut desktop = Desktop::new("soak", &["live", "--input", &input, "--loop", "-v"]);
    desktop.wait_for_picture();
    let began = Instant::now();
    let mut samples = Vec::new();
    let mut table = vec!["seconds,memory_mb,threads,files,age_ms".to_owned()];
    for key in KEYS.iter().cycle() {
        if began.elapsed() > Duration::from_secs(seconds as u64) {
            break;
        }
        desktop.press(key);
        assert!(desktop.whycam.try_wait().unwrap().is_none(), "it ended");
        if let Some(sample) = Sample::of(&desktop) {
            let Sample { memory_mb, threads, files, age_ms } = sample;
            table.push(format!("{},{memory_mb:.1},{threads},{files},{age_ms}", began.elapsed().as_secs()));
            samples.push(sample);
        }
    }
    fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/soak.csv"), table.join("\n")).unwrap();
    // Of the second quarter and of the last one.
    let quarter = samples.len() / 4;
    let medians = |of: fn(&Sample) -> f64| {
        [quarter, 3 * quarter].map(|from| {
            let mut values: Vec<f64> = samples[from..from + quarter].iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        })
    };
    let [memory, threads, files, ages] =
        [medians(|s| s.memory_mb), medians(|s| s.threads as f64), medians(|s| s.files as f64), medians(|s| s.age_ms)];
    eprintln!(
        "from the second quarter to the last: {memory:?} MB, {threads:?} threads, {files:?} files, {ages:?} ms old"
    );
    assert!(memory[1] < 1.01 * memory[0] + 1.0, "memory grows: {memory:?} MB");
    assert!(threads[1] <= threads[0] && files[1] <= files[0], "threads {threads:?}, files {files:?}");
    assert!(ages[1] < 2.0 * ages[0] + 40.0, "explanations grow old: {ages:?} ms");
}

#[test]
fn nothing_grows_in_a_short_soak() {
    soak(16);
}

#[test]
#[ignore = "make soak"]
fn nothing_grows_in_a_long_soak() {
    soak(std::env::var("SOAK_SECONDS").map_or(600, |seconds| seconds.parse().unwrap()));
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
    let deadline = Instant::now() + Duration::from_secs(10);
    while desktop.whycam.try_wait().unwrap().is_none() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(desktop.whycam.try_wait().unwrap().and_then(|status| status.code()), Some(0), "Q ends it");
}
