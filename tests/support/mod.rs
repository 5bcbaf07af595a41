//! What several tests need.
#![allow(dead_code)]

pub mod browser;
pub mod desktop;
pub mod edits;
pub mod gradient;
pub mod maps;
pub mod served;
pub mod streams;
pub mod task_case;
pub mod things;
pub mod tiny_net;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A file of the test data: `WHYCAM_TEST_DATA`, or `shared/data` next to the checkout. Tests that need it are in a module
/// `needs_data`.
pub fn data_file(name: &str) -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let file = std::env::var_os("WHYCAM_TEST_DATA").map_or(beside, PathBuf::from).join(name);
    file.canonicalize()
        .unwrap_or_else(|e| panic!("{}: {e}; set WHYCAM_TEST_DATA to a folder that has it", file.display()))
}

/// A file or folder in `tests/reference`.
pub fn reference(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(path)
}

/// The path of a committed net, such as `resnet.legacy` for `tests/reference/models/resnet.legacy.onnx`.
pub fn net(name: &str) -> String {
    reference(&format!("models/{name}.onnx")).display().to_string()
}

/// A photo of shades, 90 pixels wide and 70 high.
pub fn photo() -> image::RgbImage {
    let shades = |x, y| image::Rgb([(x * 7 % 256) as u8, (y * 5 % 256) as u8, ((x + 2 * y) % 256) as u8]);
    image::RgbImage::from_fn(90, 70, shades)
}

/// Waits until something has happened; fails after a minute without it.
pub fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !happened() {
        assert!(Instant::now() < deadline, "waited a minute until {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// An empty folder for one test, removed at its end.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        // Tests of one process may use the same name.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("whycam-{name}-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    pub fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A picture of shades.
pub fn picture(folder: &Folder, name: &str, width: u32, height: u32) -> String {
    let path = folder.file(name);
    let shades = |x, y| image::Rgb([(x * 7 % 256) as u8, (y * 5 % 256) as u8, ((x + y) % 256) as u8]);
    image::RgbImage::from_fn(width, height, shades).save(&path).expect("a temporary file");
    path
}

/// Runs the program under test and keeps its output.
pub fn whycam(arguments: &[&str]) -> Output {
    command(arguments).output().expect("whycam starts")
}

pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whycam"));
    command.args(arguments).env_remove("RUST_BACKTRACE").env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    command
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a tool prints. The test fails if the tool is missing.
pub fn tool(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|e| panic!("{program}: {e}; run `make setup`"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", stderr(&output));
    stdout(&output)
}

/// A film of two seconds with a moving picture and a tone.
pub fn film(folder: &Folder, name: &str, extra: &[&str]) -> String {
    let path = folder.file(name);
    let mut arguments = vec!["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=2"];
    arguments.extend(["-f", "lavfi", "-i", "sine=frequency=440:duration=2", "-pix_fmt", "yuv420p", "-shortest"]);
    arguments.extend(extra);
    arguments.push(&path);
    tool("ffmpeg", &arguments);
    path
}

/// The times of all frames of a film, in seconds, as ffprobe reads them.
pub fn frame_times(path: &str) -> Vec<f64> {
    let entries = "frame=best_effort_timestamp_time";
    let text =
        tool("ffprobe", &["-v", "error", "-select_streams", "v:0", "-show_entries", entries, "-of", "csv=p=0", path]);
    text.lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect()
}

/// The JSON objects of a text that has one on each line.
pub fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// The JSON objects of the complete lines of a file that is still written to; none if there is no file yet.
pub fn complete_lines(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    json_lines(text.rfind('\n').map_or("", |end| &text[..end]))
}

pub fn assert_ok(output: &Output) {
    assert!(output.status.success(), "{}", stderr(output));
}

/// A generator that gives the same numbers on every machine (Marsaglia's xorshift, 2003).
pub struct Random(pub u64);

impl Random {
    /// Uniform in -1..1.
    pub fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub fn many(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next()).collect()
    }

    /// Numbers in random order, 0.1 apart and none near zero, for ops with kinks.
    pub fn apart(&mut self, count: usize) -> Vec<f32> {
        let mut values: Vec<f32> = (0..count).map(|i| (i as f32 - count as f32 / 2.0) * 0.1 + 0.05).collect();
        for i in (1..count).rev() {
            let other = (f32::midpoint(self.next(), 1.0) * (i + 1) as f32) as usize;
            values.swap(i, other.min(i));
        }
        values
    }
}

/// Asserts that the program ends with this status and prints a line that has all these words.
pub fn assert_fails(arguments: &[&str], status: i32, words: &[&str]) {
    let output = whycam(arguments);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {text}");
    let line = text.lines().find(|line| words.iter().all(|word| line.contains(word)));
    assert!(line.is_some(), "{arguments:?}: no line has all of {words:?}: {text}");
    assert!(!text.contains("panicked") && !text.contains("stack backtrace"), "{text}");
}
