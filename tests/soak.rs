//! Memory, threads and open files do not grow: in a window on a stream that breaks off and comes back, under random
//! keys, in a run that explains a folder with damaged files over and over, and in the library.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{fs, thread};

use image::{Rgb, RgbImage};
use support::desktop::Desktop;
use support::streams::{end, free_port, number_before, serve_http};
use support::{Folder, Random, command, film, net, picture, wait_until};
use whycam::Explainer;

/// What a process holds at one moment.
#[derive(Clone, Copy, Default)]
struct Sample {
    memory_mb: f64,
    threads: usize,
    files: usize,
}

impl Sample {
    fn of(process: &Child) -> Self {
        Self::of_id(process.id())
    }

    fn of_id(process: u32) -> Self {
        let folder = format!("/proc/{process}");
        let entries = |of: &str| fs::read_dir(format!("{folder}/{of}")).map_or(0, Iterator::count);
        let status = fs::read_to_string(format!("{folder}/status")).unwrap();
        let memory = &status[status.find("VmRSS:").expect("the process runs")..];
        Self { memory_mb: number_before(memory, " kB") / 1024.0, threads: entries("task"), files: entries("fd") }
    }
}

/// Memory is compared at its least, since methods and layers need different amounts while they are shown.
const LEAST: f64 = 0.05;
/// Threads and files are compared at their most, since a run has fewer at its start and between two inputs.
const MOST: f64 = 1.0;

/// What happened and what was measured, for a plot.
struct Log {
    began: Instant,
    rows: Vec<(f64, [Sample; 2])>,
    faults: Vec<String>,
}

impl Log {
    fn fault(&mut self, what: &str) {
        self.faults.push(format!("{:.0},{what}", self.began.elapsed().as_secs_f64()));
    }

    fn write(&self) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let fields = |s: &Sample| format!("{:.1},{},{}", s.memory_mb, s.threads, s.files);
        let lines =
            self.rows.iter().map(|(at, [live, folder])| format!("{at:.0},{},{}\n", fields(live), fields(folder)));
        let head = "seconds,live_mb,live_threads,live_files,folder_mb,folder_threads,folder_files\n";
        fs::write(folder.join("soak.csv"), head.to_owned() + &lines.collect::<String>()).unwrap();
        fs::write(folder.join("soak-faults.csv"), "seconds,what\n".to_owned() + &self.faults.join("\n") + "\n")
            .unwrap();
    }

    /// The value at this share of the sorted values, in the second and in the last quarter of the time. A leak raises
    /// every value.
    fn quarters(&self, share: f64, of: impl Fn(&[Sample; 2]) -> f64) -> [f64; 2] {
        let quarter = self.rows.len() / 4;
        [quarter, 3 * quarter].map(|from| {
            let mut values: Vec<f64> = self.rows[from..from + quarter].iter().map(|(_, row)| of(row)).collect();
            values.sort_by(f64::total_cmp);
            values[((quarter - 1) as f64 * share) as usize]
        })
    }
}

/// Explains a film, a picture and damaged copies of both, so often that it runs until it is killed.
fn explain_a_folder(folder: &Folder, film: &str) -> Child {
    let photo = picture(folder, "photo.png", 320, 240);
    let inputs: Vec<String> = [film, &photo]
        .into_iter()
        .flat_map(|input| {
            let mut bytes = fs::read(input).unwrap();
            let cut = bytes.len() / 2;
            let damaged = folder.file(&format!("cut-{}", Path::new(input).file_name().unwrap().to_string_lossy()));
            bytes[cut / 2..cut / 2 + 200].fill(0x55);
            fs::write(&damaged, &bytes[..cut]).unwrap();
            [input.to_owned(), damaged]
        })
        .collect();
    let mut run = command(&["explain", "--json", "/dev/null", "--force", "--quiet"]);
    run.args((0..5_000).flat_map(|_| &inputs));
    run.stderr(Stdio::null()).spawn().unwrap()
}

/// A key that is listed twice is pressed twice as often.
const KEYS: &str = "h h v v t t i i f f c c plus minus space space 1 2 3 0 0 0 s";

/// A viewer's pace.
const KEY_INTERVAL: Duration = Duration::from_millis(700);

fn soak(seconds: u64, keys: &str) {
    let folder = Folder::new("soak-inputs");
    let input = film(&folder, "in.mp4", &[]);
    let address = format!("http://127.0.0.1:{}/", free_port());
    let mut server = serve_http(&input, &address);
    let mut desktop = Desktop::new("soak", &["live", "--input", &address]);
    desktop.wait_for_picture();
    let mut explaining = explain_a_folder(&folder, &input);
    let keys: Vec<&str> = keys.split(' ').collect();
    let mut random = Random(7);
    let mut log = Log { began: Instant::now(), rows: Vec::new(), faults: Vec::new() };
    let mut draw = |among: usize| (f32::midpoint(random.next(), 1.0) * among as f32) as usize % among;
    while log.began.elapsed() < Duration::from_secs(seconds) {
        match draw(200) {
            0..=4 => {
                log.fault("the stream breaks off");
                end(server);
                thread::sleep(Duration::from_millis(500 * draw(10) as u64));
                server = serve_http(&input, &address);
            }
            5 => {
                log.fault("the folder's run is killed and started again");
                let threads = Sample::of(&explaining).threads;
                end(explaining);
                explaining = explain_a_folder(&folder, &input);
                wait_until("the new run has as many threads", || Sample::of(&explaining).threads >= threads);
            }
            6..=8 => {
                for entry in fs::read_dir(&desktop.folder.0).unwrap().map(Result::unwrap) {
                    if entry.file_name().to_string_lossy().starts_with("whycam-") {
                        fs::remove_file(entry.path()).unwrap();
                    }
                }
                log.fault("snapshots and recordings are removed while they are open");
            }
            _ => {
                desktop.press(keys[draw(keys.len())]);
                thread::sleep(KEY_INTERVAL);
            }
        }
        let said = fs::read_to_string(desktop.folder.file("stderr")).unwrap();
        assert!(desktop.whycam.try_wait().unwrap().is_none(), "the window ended: {said}");
        assert!(explaining.try_wait().unwrap().is_none(), "the folder's run ended");
        log.rows.push((log.began.elapsed().as_secs_f64(), [Sample::of(&desktop.whycam), Sample::of(&explaining)]));
        log.write();
    }
    end(explaining);
    end(server);
    for (name, at) in [("live", 0), ("folder", 1)] {
        let memory = log.quarters(LEAST, |row| row[at].memory_mb);
        let threads = log.quarters(MOST, |row| row[at].threads as f64);
        let files = log.quarters(MOST, |row| row[at].files as f64);
        eprintln!("{name}, second quarter and last: {memory:?} MB, {threads:?} threads, {files:?} files");
        assert!(memory[1] < 1.05 * memory[0] + 10.0, "{name}: memory grows: {memory:?} MB");
        assert!(threads[1] <= threads[0] + 2.0 && files[1] <= files[0] + 2.0, "{name}: {threads:?}, {files:?}");
    }
}

/// Held by a test that measures this process, or works beside it.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn explaining_over_and_over_takes_no_more_memory() {
    let _alone = ALONE.lock();
    let mut explainer = Explainer::builder().model(net("resnet.legacy").as_str()).build().unwrap();
    let picture = RgbImage::from_fn(64, 64, |x, y| Rgb([x as u8, y as u8, 9]));
    let mut explain = |times: usize| (0..times).for_each(|_| drop(explainer.explain(&picture).unwrap()));
    let memory_mb = || Sample::of_id(std::process::id()).memory_mb;
    explain(1000);
    let before = memory_mb();
    explain(4000);
    let grown = memory_mb() - before;
    assert!(grown < 0.8, "{grown} MB more after 4000 pictures");
}

#[test]
fn nothing_grows_in_a_short_soak() {
    let _alone = ALONE.lock();
    soak(20, KEYS);
}

mod long {
    use super::{KEYS, soak};

    #[test]
    #[ignore = "takes an hour; `make soak` runs it"]
    fn nothing_grows_in_a_long_soak() {
        let seconds = std::env::var("SOAK_SECONDS").map_or(3600, |seconds| seconds.parse().unwrap());
        // R, M and L make an encoder or another explainer. A short soak ends before their memory is returned.
        soak(seconds, &format!("{KEYS} r r m l l"));
    }
}
