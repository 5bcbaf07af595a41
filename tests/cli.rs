//! The program as a user meets it: real films, a real runtime, a real window.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use std::{fs, thread};

use serde_json::Value;
use support::{Folder, command, data_file, picture, stderr, stdout, tool, whycam};

/// A film of two seconds with a moving picture and a tone.
fn film(folder: &Folder, name: &str, extra: &[&str]) -> String {
    let path = folder.file(name);
    let mut arguments = vec!["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=2"];
    arguments.extend(["-f", "lavfi", "-i", "sine=frequency=440:duration=2", "-pix_fmt", "yuv420p", "-shortest"]);
    arguments.extend(extra);
    arguments.push(&path);
    tool("ffmpeg", &arguments);
    path
}

/// The times of all frames of a film, in seconds, as ffprobe reads them.
fn frame_times(path: &str) -> Vec<f64> {
    let entries = "frame=best_effort_timestamp_time";
    let text =
        tool("ffprobe", &["-v", "error", "-select_streams", "v:0", "-show_entries", entries, "-of", "csv=p=0", path]);
    text.lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect()
}

fn streams(path: &str) -> Value {
    let text = tool("ffprobe", &["-v", "error", "-count_packets", "-show_streams", "-of", "json", path]);
    serde_json::from_str(&text).unwrap()
}

fn stream(path: &str, kind: &str) -> Value {
    let all = streams(path);
    let found = all["streams"].as_array().unwrap().iter().find(|s| s["codec_type"] == kind);
    found.unwrap_or_else(|| panic!("{path} has no {kind}")).clone()
}

fn assert_same_times(input: &str, output: &str) {
    let (before, after) = (frame_times(input), frame_times(output));
    assert_eq!(before.len(), after.len(), "frame count");
    for (index, (a, b)) in before.iter().zip(&after).enumerate() {
        assert!((a - b).abs() < 1e-5, "frame {index}: {a} became {b}");
    }
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

fn assert_ok(output: &std::process::Output) {
    assert!(output.status.success(), "{}", stderr(output));
}

/// One clear line, no backtrace, the given status.
fn assert_fails(arguments: &[&str], status: i32, words: &[&str]) {
    let output = whycam(arguments);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {text}");
    let line = text.lines().find(|line| words.iter().all(|word| line.contains(word)));
    assert!(line.is_some(), "{arguments:?} says none of {words:?}: {text}");
    assert!(!text.contains("panicked") && !text.contains("stack backtrace"), "{text}");
}

#[test]
fn a_film_keeps_its_frames_times_size_and_sound() {
    let folder = Folder::new("film");
    for name in ["in.mp4", "in.mkv"] {
        let input = film(&folder, name, &[]);
        let output = folder.file(&format!("out-{name}"));
        assert_ok(&whycam(&["explain", &input, "-o", &output]));
        assert_same_times(&input, &output);
        let (before, after) = (stream(&input, "video"), stream(&output, "video"));
        for key in ["width", "height", "avg_frame_rate"] {
            assert_eq!(before[key], after[key], "{name}: {key}");
        }
        let (before, after) = (stream(&input, "audio"), stream(&output, "audio"));
        for key in ["codec_name", "sample_rate", "nb_read_packets"] {
            assert_eq!(before[key], after[key], "{name}: {key}");
        }
    }
}

#[test]
fn real_clips_keep_their_frames_times_and_sound() {
    let folder = Folder::new("clip");
    for name in ["flower.mp4", "flower.webm"] {
        let Some(clip) = data_file(&format!("clips/{name}")) else { return };
        let (clip, output) = (clip.display().to_string(), folder.file(name));
        let run = whycam(&["explain", &clip, "-o", &output, "--json", "-"]);
        assert_ok(&run);
        assert_eq!(frame_times(&output).len(), 150);
        assert_same_times(&clip, &output);
        assert_eq!(stream(&clip, "audio")["nb_read_packets"], stream(&output, "audio")["nb_read_packets"]);
        for (line, time) in json_lines(&stdout(&run)).iter().zip(frame_times(&clip)) {
            let pts_us = line["pts_us"].as_f64().unwrap();
            assert!((pts_us - time * 1e6).abs() <= 1.0, "{name}: {pts_us} us at {time} s");
        }
    }
}

#[test]
fn a_film_of_variable_frame_rate_keeps_its_own_times() {
    let folder = Folder::new("vfr");
    let input = film(&folder, "vfr.mp4", &["-vf", "select='not(mod(n,3))+lt(n,20)'", "-fps_mode", "vfr"]);
    let times = frame_times(&input);
    assert!(times[1] - times[0] < 0.05 && times[times.len() - 1] - times[times.len() - 2] > 0.1, "{times:?}");
    let output = folder.file("out.mp4");
    assert_ok(&whycam(&["explain", &input, "-o", &output]));
    assert_same_times(&input, &output);
}

#[test]
fn a_rotated_film_is_explained_and_shown_upright() {
    let folder = Folder::new("rotated");
    let plain = film(&folder, "plain.mp4", &["-frames:v", "10"]);
    for rotate in ["90", "270"] {
        rotated_film(&folder, &plain, rotate);
    }
}

fn rotated_film(folder: &Folder, plain: &str, rotate: &str) {
    let input = folder.file(&format!("rotated-{rotate}.mp4"));
    let metadata = format!("rotate={rotate}");
    tool("ffmpeg", &["-v", "error", "-y", "-i", plain, "-c", "copy", "-metadata:s:v", &metadata, &input]);
    let output = folder.file(&format!("out-{rotate}.mp4"));
    let lines = whycam(&["explain", &input, "-o", &output, "--json", "-", "--alpha", "0"]);
    assert_ok(&lines);
    let first = &json_lines(&stdout(&lines))[0];
    assert_eq!((first["width"].as_u64(), first["height"].as_u64()), (Some(240), Some(320)));
    for key in ["width", "height", "sample_aspect_ratio"] {
        assert_eq!(stream(&input, "video")[key], stream(&output, "video")[key], "{key}");
    }
    let rotation = |path: &str| stream(path, "video")["side_data_list"][0]["rotation"].clone();
    assert!(rotation(&input).as_i64().is_some_and(|degrees| degrees.abs() == 90), "{}", rotation(&input));
    assert_eq!(rotation(&input), rotation(&output));
    let matroska = folder.file(&format!("out-{rotate}.mkv"));
    assert_ok(&whycam(&["explain", &input, "-o", &matroska]));
    assert_eq!(stream(&matroska, "video")["width"], 240, "a format without rotation is written upright");
    // FFmpeg turns both upright; a caption aside they must look the same.
    let first_frame = |path: &str, name: &str| {
        let png = folder.file(name);
        tool("ffmpeg", &["-v", "error", "-y", "-i", path, "-frames:v", "1", &png]);
        image::open(&png).unwrap().to_rgb8()
    };
    let (before, after) = (first_frame(&input, "before.png"), first_frame(&output, "after.png"));
    assert_eq!(before.dimensions(), after.dimensions());
    let rows = 3 * 240 * 280;
    let difference: u64 =
        before.as_raw()[..rows].iter().zip(&after.as_raw()[..rows]).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    assert!(difference / (rows as u64) < 8, "mean difference {}", difference / rows as u64);
}

#[test]
fn json_lines_and_maps_are_as_the_contract_says() {
    let folder = Folder::new("json");
    let input = film(&folder, "in.mp4", &["-frames:v", "5"]);
    let maps = folder.file("maps");
    let output = whycam(&["explain", &input, "--json", "-", "--maps", &maps]);
    assert_ok(&output);
    let lines = json_lines(&stdout(&output));
    assert_eq!(lines.len(), 5);
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(line["frame"], index);
        assert_eq!(line["pts_us"], index * 40_000);
        assert_eq!(line["input"], input);
        assert_eq!((&line["width"], &line["height"]), (&320.into(), &240.into()));
        assert_eq!(line["map_file"], format!("{index:06}.npy"));
        assert_eq!((line["model"].as_str(), line["method"].as_str()), (Some("flowers"), Some("grad-cam")));
        let top = line["top"].as_array().unwrap();
        let sum: f64 = top.iter().map(|class| class["probability"].as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-4, "the five classes sum to {sum}");
        assert_eq!((&top[0]["class_index"], &top[0]["label"]), (&line["class_index"], &line["label"]));
        assert!(line["logit"].is_f64() && line["layer"].is_string());
        let map: ndarray::Array2<f32> =
            ndarray_npy::read_npy(Path::new(&maps).join(format!("{index:06}.npy"))).unwrap();
        assert_eq!(
            [map.nrows(), map.ncols()].map(Value::from),
            [line["map"]["height"].clone(), line["map"]["width"].clone()]
        );
        let max = f64::from(map.iter().copied().fold(0.0, f32::max));
        assert!((max - line["map"]["max"].as_f64().unwrap()).abs() < 1e-6);
        assert_eq!(line["map"]["evidence"], max > 0.0);
    }
    assert!(!Path::new(&folder.file("in.whycam.mp4")).exists(), "pictures were not asked for");
}

#[test]
fn a_picture_gets_its_explanation_beside_it_and_nothing_is_overwritten() {
    let folder = Folder::new("picture");
    let input = picture(&folder, "tall.jpg", 120, 301);
    assert_ok(&whycam(&["explain", &input]));
    let result = folder.file("tall.whycam.png");
    assert_eq!(image::image_dimensions(&result).unwrap(), (120, 301));
    assert_fails(&["explain", &input], 1, &["tall.whycam.png", "--force"]);
    assert_ok(&whycam(&["explain", &input, "--force"]));
    let named = folder.file("named.png");
    assert_ok(&whycam(&["explain", &input, "-o", &named]));
    assert!(Path::new(&named).exists());
}

#[test]
fn a_folder_goes_on_past_a_broken_picture_and_says_so() {
    let folder = Folder::new("folder");
    fs::create_dir_all(folder.0.join("in/deep")).unwrap();
    for name in ["a.png", "c.png", "deep/a.png"] {
        picture(&folder, &format!("in/{name}"), 64, 48);
    }
    fs::write(folder.0.join("in/b.png"), "no picture").unwrap();
    let output = whycam(&["explain", &folder.file("in"), "-o", &folder.file("out/"), "--json", "-"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("b.png"), "{}", stderr(&output));
    assert_eq!(json_lines(&stdout(&output)).len(), 3);
    for name in ["out/a.whycam.png", "out/c.whycam.png", "out/deep/a.whycam.png"] {
        assert!(Path::new(&folder.file(name)).exists(), "{name}");
    }
}

#[test]
fn a_gif_keeps_its_pictures_and_their_delays() {
    use image::AnimationDecoder;
    use image::codecs::gif::{GifDecoder, GifEncoder};
    let folder = Folder::new("gif");
    let input = folder.file("in.gif");
    let mut encoder = GifEncoder::new(fs::File::create(&input).unwrap());
    let delays = [100, 300, 50];
    for (shade, delay) in [40, 120, 200].into_iter().zip(delays) {
        let picture = image::RgbaImage::from_pixel(80, 60, image::Rgba([shade, 90, 30, 255]));
        let delay = image::Delay::from_numer_denom_ms(delay, 1);
        encoder.encode_frame(image::Frame::from_parts(picture, 0, 0, delay)).unwrap();
    }
    drop(encoder);
    assert_ok(&whycam(&["explain", &input]));
    let result = fs::File::open(folder.file("in.whycam.gif")).unwrap();
    let decoder = GifDecoder::new(std::io::BufReader::new(result)).unwrap();
    let kept: Vec<u32> = decoder.into_frames().map(|f| f.unwrap().delay().numer_denom_ms().0).collect();
    // The last picture's delay has no next one to tell it, so it is the one before it.
    assert_eq!(kept, [100, 300, 300]);
}

#[test]
fn ctrl_c_in_the_middle_leaves_a_film_that_plays() {
    let folder = Folder::new("interrupt");
    let input = folder.file("long.mp4");
    let source = "testsrc2=size=640x480:rate=25:duration=120";
    tool("ffmpeg", &["-v", "error", "-f", "lavfi", "-i", source, "-preset", "ultrafast", &input]);
    let output = folder.file("out.mp4");
    let mut child = command(&["explain", &input, "-o", &output]).stderr(Stdio::piped()).spawn().unwrap();
    let part = |f: &Path| {
        fs::read_dir(f).unwrap().filter_map(Result::ok).any(|e| e.file_name().to_string_lossy().contains(".part."))
    };
    let deadline = Instant::now() + Duration::from_mins(1);
    while !part(&folder.0) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
    }
    thread::sleep(Duration::from_millis(1500));
    tool("sh", &["-c", &format!("kill -INT {}", child.id())]);
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    let frames = frame_times(&output).len();
    assert!((1..3000).contains(&frames), "{frames} frames");
    assert!(!part(&folder.0), "the unfinished file is left behind");
}

#[test]
fn the_demo_writes_exactly_the_frames_asked_for() {
    let folder = Folder::new("demo");
    let output = folder.file("demo.mp4");
    let run = whycam(&["demo", "--headless", "--frames", "40", "--record", &output, "--json", "-"]);
    assert_ok(&run);
    assert_eq!(json_lines(&stdout(&run)).len(), 40);
    assert_eq!(frame_times(&output).len(), 40);
    assert!(stderr(&run).contains("explained 40"), "{}", stderr(&run));
}

#[test]
fn without_a_display_the_demo_names_the_film_that_it_writes() {
    let folder = Folder::new("nodisplay");
    let run = command(&["demo", "--frames", "5"]).current_dir(&folder.0).output().unwrap();
    assert_ok(&run);
    assert!(stderr(&run).contains("whycam-demo.mp4"), "{}", stderr(&run));
    assert_eq!(frame_times(&folder.file("whycam-demo.mp4")).len(), 5);
}

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

#[test]
fn a_stream_from_the_network_is_explained() {
    let folder = Folder::new("live-stream");
    let input = film(&folder, "in.mp4", &["-frames:v", "50"]);
    let address = format!("http://127.0.0.1:{}/", 20_000 + std::process::id() % 20_000);
    let serve =
        ["-v", "error", "-re", "-stream_loop", "20", "-i", &input, "-c", "copy", "-f", "mpegts", "-listen", "1"];
    let mut server = std::process::Command::new("ffmpeg").args(serve).arg(&address).spawn().unwrap();
    thread::sleep(Duration::from_secs(1));
    let output = whycam(&["live", "--input", &address, "--headless", "--frames", "10", "--json", "-"]);
    let _ = server.kill();
    let _ = server.wait();
    assert_ok(&output);
    assert_eq!(json_lines(&stdout(&output)).len(), 10);
}

#[test]
fn bench_gives_figures_of_model_and_pipeline() {
    let folder = Folder::new("bench");
    let input = film(&folder, "in.mp4", &["-frames:v", "10"]);
    for arguments in [&["bench", "--frames", "5", "--json", "-"][..], &["bench", "--input", &input, "--json", "-"]] {
        let output = whycam(arguments);
        assert_ok(&output);
        let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
        for key in ["forward_ms", "explained_ms", "pipeline_fps", "bound_fps"] {
            assert!(figures[key].as_f64().is_some_and(|value| value > 0.0), "{key}: {figures}");
        }
    }
    assert!(stdout(&whycam(&["bench", "--frames", "3"])).contains("plain forward pass"));
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

/// A display of its own with a window manager, and whycam in a window on it.
struct Desktop {
    display: String,
    server: std::process::Child,
    manager: std::process::Child,
    whycam: std::process::Child,
    folder: Folder,
}

impl Desktop {
    fn new(name: &str, arguments: &[&str]) -> Self {
        let folder = Folder::new(name);
        // It takes a display that is free, and says which once it is ready.
        let mut server = std::process::Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "800x600x24", "-nolisten", "tcp"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("Xvfb: {e}; run `make setup`"));
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        let display = format!(":{}", number.trim());
        let start = |program: &str, arguments: &[&str]| {
            let mut command = std::process::Command::new(program);
            command.args(arguments).env("DISPLAY", &display).stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().unwrap_or_else(|e| panic!("{program}: {e}; run `make setup`"))
        };
        let manager = start("openbox", &[]);
        // A window that is mapped while the manager begins is never shown.
        let managed = || start("xdotool", &["get_num_desktops"]).wait().is_ok_and(|status| status.success());
        let deadline = Instant::now() + Duration::from_secs(10);
        while !managed() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(100));
        }
        let mut whycam = command(arguments);
        whycam.env("DISPLAY", &display).current_dir(&folder.0).stderr(Stdio::piped());
        let whycam = whycam.spawn().unwrap();
        Self { display, server, manager, whycam, folder }
    }

    fn screenshot(&self) -> image::RgbImage {
        let shot = self.folder.file("shot.png");
        let grab = ["-v", "error", "-y", "-f", "x11grab", "-video_size", "800x600", "-i", &self.display];
        tool("ffmpeg", &[&grab[..], &["-frames:v", "1", &shot]].concat());
        image::open(&shot).unwrap().to_rgb8()
    }

    /// Waits until `reached`, which is described by `what`.
    fn wait(&mut self, what: &str, reached: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !reached(self) {
            assert!(self.whycam.try_wait().unwrap().is_none(), "whycam ended before {what}");
            assert!(Instant::now() < deadline, "in 30 s never {what}");
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn wait_for_picture(&mut self) {
        self.wait("was there a picture", |desktop| {
            let picture = desktop.screenshot();
            picture.pixels().map(|p| p.0).collect::<std::collections::HashSet<[u8; 3]>>().len() >= 1000
        });
    }

    fn press(&self, key: &str) {
        let run = |arguments: &[&str]| {
            let output =
                std::process::Command::new("xdotool").args(arguments).env("DISPLAY", &self.display).output().unwrap();
            stdout(&output)
        };
        let windows = run(&["search", "--name", "whycam"]);
        let window = windows.lines().last().expect("a window");
        run(&["windowactivate", "--sync", window]);
        run(&["key", key]);
        thread::sleep(Duration::from_millis(700));
    }

    /// How many pixels another view of the scene changes.
    fn changed_by(&self, key: &str) -> usize {
        let before = self.screenshot();
        self.press(key);
        let after = self.screenshot();
        let pairs = before.pixels().zip(after.pixels());
        pairs.filter(|(a, b)| a.0.iter().zip(b.0).any(|(x, y)| x.abs_diff(y) > 24)).count()
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        for process in [&mut self.whycam, &mut self.manager, &mut self.server] {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

#[test]
fn the_window_shows_the_explained_picture() {
    Desktop::new("window", &["demo", "--seconds", "30"]).wait_for_picture();
}

#[test]
fn keys_steer_the_window() {
    let mut desktop = Desktop::new("keys", &["demo", "--seconds", "60"]);
    desktop.wait_for_picture();
    desktop.press("space");
    thread::sleep(Duration::from_millis(300));
    let still = desktop.screenshot();
    thread::sleep(Duration::from_millis(700));
    assert!(still == desktop.screenshot(), "a paused picture moves");
    desktop.press("space");
    assert!(still != desktop.screenshot(), "the picture stands after the pause");
    for key in ["h", "h", "v", "v", "t", "i", "c", "plus", "f"] {
        assert!(desktop.changed_by(key) > 200, "{key} changes nothing");
    }
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

#[test]
fn both_runtimes_give_the_same_numbers() {
    let folder = Folder::new("runtimes");
    let input = film(&folder, "in.mp4", &["-frames:v", "2"]);
    let vgg = "flowers-vgg";
    for (model, layer) in [("flowers", "-1"), (vgg, "-1"), (vgg, "/3/MaxPool"), (vgg, "/0/0.1/Conv")] {
        let run = |name: &str, library: Option<&str>| {
            let maps = folder.file(&format!("{name}{model}{}", layer.replace('/', "_")));
            let mut run =
                command(&["-v", "explain", &input, "--model", model, "--layer", layer, "--maps", &maps, "--json", "-"]);
            if let Some(library) = library {
                run.env("ORT_DYLIB_PATH", library);
            }
            let output = run.output().unwrap();
            assert_ok(&output);
            let map: ndarray::Array2<f32> = ndarray_npy::read_npy(Path::new(&maps).join("000001.npy")).unwrap();
            (stderr(&output), json_lines(&stdout(&output))[1].clone(), map)
        };
        let (fast_says, fast, fast_map) = run("onnxruntime", None);
        assert!(fast_says.contains("runtime ONNX Runtime"), "run `make setup`: {fast_says}");
        let (slow_says, slow, slow_map) = run("tract", Some("/nowhere/libonnxruntime.so"));
        assert!(slow_says.contains("runtime tract") && slow_says.contains("slower"), "{slow_says}");
        assert_eq!(fast["class_index"], slow["class_index"]);
        assert!((fast["logit"].as_f64().unwrap() - slow["logit"].as_f64().unwrap()).abs() < 1e-4);
        // Where two numbers of a pool's window are almost equal, rounding decides which takes the gradient.
        let largest = fast_map.iter().copied().fold(1e-12, f32::max);
        let apart = fast_map.iter().zip(&slow_map).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 5e-3 * largest, "layer {layer}: maps differ by {apart}, the largest value is {largest}");
    }
}

#[test]
fn errors_name_the_thing_and_the_mend() {
    let folder = Folder::new("errors");
    fs::write(folder.0.join("text.mp4"), "Not a film, but a text of several words.\n".repeat(50)).unwrap();
    fs::write(folder.0.join("text.onnx"), "Not a model.").unwrap();
    fs::create_dir(folder.0.join("empty")).unwrap();
    let picture = picture(&folder, "a.png", 64, 48);
    let (text, model, empty) = (folder.file("text.mp4"), folder.file("text.onnx"), folder.file("empty"));
    let odd = folder.file("a.xyz");
    let nowhere = folder.file("no/such/a.png");

    assert_fails(&["explain", "/nowhere/a.mp4"], 1, &["/nowhere/a.mp4", "no such file"]);
    assert_fails(&["explain", &text], 1, &["text.mp4", "not a film"]);
    assert_fails(&["explain", &empty], 1, &["empty", "no pictures"]);
    assert_fails(&["explain", &picture, "--model", &model], 1, &["text.onnx", "not an ONNX model"]);
    assert_fails(&["explain", &picture, "--model", "roses"], 1, &["roses", "flowers-vgg"]);
    assert_fails(&["explain", &picture, "-o", &odd], 1, &["a.xyz", ".png"]);
    assert_fails(&["explain", &picture, "-o", &nowhere], 1, &["no/such", "no folder"]);
    assert_fails(&["explain", &picture, "--class", "oak"], 2, &["oak", "tulips"]);
    assert_fails(&["explain", &picture, "--layer", "nothing"], 2, &["nothing", "inspect"]);
    assert_fails(&["explain", &picture, "--layer", "Conv"], 2, &["Conv", "part of"]);
    assert_fails(&["explain", &picture, "--colormap", "grey"], 2, &["grey", "jet"]);
    assert_fails(&["explain", &picture, "--method", "cam"], 2, &["cam", "grad-cam"]);
    assert_fails(&["explain", &picture, "--alpha", "7"], 2, &["0 to 1"]);
    assert_fails(&["explain", &picture, &picture, "-o", &odd], 2, &["a.xyz", "one input", "folder"]);
    assert_fails(&["explain"], 2, &["<INPUT>"]);
    assert_fails(&["explain", &picture, "--json", "/dev/full"], 1, &["/dev/full", "disk is full"]);
}

#[test]
fn a_film_format_that_cannot_hold_the_sound_is_refused_with_another() {
    let folder = Folder::new("sound");
    let input = film(&folder, "in.mp4", &[]);
    assert_fails(&["explain", &input, "-o", &folder.file("out.webm")], 1, &["out.webm", "sound", ".mkv"]);
    assert!(!Path::new(&folder.file("out.webm")).exists());
    assert_fails(&["explain", &input, "-o", &folder.file("out.png")], 1, &["out.png", "mp4"]);
}

#[test]
fn a_model_with_three_inputs_is_refused_by_their_names() {
    use whycam::onnx::proto::{Graph, Node, ValueInfo};
    use whycam::onnx::{DataType, OnnxModel, WORKING_OPSET};
    let folder = Folder::new("inputs");
    let picture = picture(&folder, "a.png", 64, 48);
    let names = ["left", "right", "depth"];
    let graph = Graph {
        node: vec![Node::new("Sum", "sum", &names, &["y"])],
        input: names.iter().map(|name| ValueInfo::tensor(name, DataType::Float, &[1, 3, 8, 8])).collect(),
        output: vec![ValueInfo::tensor("y", DataType::Float, &[1, 3, 8, 8])],
        ..Graph::default()
    };
    let path = folder.file("three.onnx");
    fs::write(&path, OnnxModel::from_graph("three", WORKING_OPSET, graph).to_bytes()).unwrap();
    assert_fails(&["explain", &picture, "--model", &path], 1, &["three.onnx", "3 inputs", "left, right, depth"]);
}

#[test]
fn without_a_camera_the_demo_is_offered() {
    if Path::new("/dev/video0").exists() {
        eprintln!("SKIPPED: this machine has a camera");
        return;
    }
    assert_fails(&[], 1, &["no camera", "whycam demo"]);
    assert_fails(&["live", "--headless"], 1, &["no camera", "whycam demo"]);
}

#[test]
fn a_reader_that_leaves_ends_the_run_without_an_error() {
    let folder = Folder::new("pipe");
    let input = film(&folder, "in.mp4", &[]);
    let mut child =
        command(&["explain", &input, "--json", "-"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}
