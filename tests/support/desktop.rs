//! The program in a real window.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use image::RgbImage;
use serde_json::Value;

use super::{Folder, command, complete_lines, stdout, tool, wait_until};

/// A separate display with a window manager, and whycam in a window on it.
pub struct Desktop {
    display: String,
    server: Child,
    manager: Child,
    pub whycam: Child,
    pub folder: Folder,
}

impl Desktop {
    pub fn new(name: &str, arguments: &[&str]) -> Self {
        let folder = Folder::new(name);
        // It chooses a free display, and prints its number when it is ready.
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "800x600x24", "-nolisten", "tcp", "-noreset"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("Xvfb: {e}; run `make setup`"));
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        let display = format!(":{}", number.trim());
        let start = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).env("DISPLAY", &display).stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().unwrap_or_else(|e| panic!("{program}: {e}; run `make setup`"))
        };
        let manager = start("openbox", &[]);
        // A window that is mapped while the manager starts is never shown.
        wait_until("there is a window manager", || {
            start("xdotool", &["get_num_desktops"]).wait().is_ok_and(|status| status.success())
        });
        let mut whycam = command(arguments);
        whycam.env("DISPLAY", &display).current_dir(&folder.0);
        whycam.stderr(fs::File::create(folder.file("stderr")).unwrap());
        let whycam = whycam.spawn().unwrap();
        Self { display, server, manager, whycam, folder }
    }

    pub fn screenshot(&self) -> RgbImage {
        let shot = self.folder.file("shot.png");
        let grab = ["-v", "error", "-y", "-f", "x11grab", "-video_size", "800x600", "-i", &self.display];
        tool("ffmpeg", &[&grab[..], &["-frames:v", "1", &shot]].concat());
        image::open(&shot).unwrap().to_rgb8()
    }

    /// Waits until `reached`, which `what` describes, while whycam runs.
    pub fn wait(&mut self, what: &str, reached: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !reached(self) {
            assert!(self.whycam.try_wait().unwrap().is_none(), "whycam ended before {what}");
            assert!(Instant::now() < deadline, "waited a minute until {what}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn wait_for_picture(&mut self) {
        self.wait("there is a picture", |desktop| {
            let picture = desktop.screenshot();
            picture.pixels().map(|p| p.0).collect::<std::collections::HashSet<[u8; 3]>>().len() >= 1000
        });
    }

    /// Waits until the screen holds a picture while further frames are explained, and returns that picture.
    pub fn wait_for_held_picture(&mut self) -> RgbImage {
        loop {
            let (held, frames) = (self.screenshot(), self.lines().len());
            self.wait("further frames are explained", |desktop| desktop.lines().len() > frames + 10);
            if held == self.screenshot() {
                return held;
            }
        }
    }

    /// Waits until the program has ended without an error.
    pub fn wait_for_end(&mut self) {
        let mut status = None;
        wait_until("whycam has ended", || {
            status = self.whycam.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(status.and_then(|status| status.code()), Some(0), "the window's program ends");
    }

    /// The complete lines of `lines.json`, which whycam writes after it has shown each frame.
    pub fn lines(&self) -> Vec<Value> {
        complete_lines(&self.folder.file("lines.json"))
    }

    /// Waits until the last frames, several in a row, are explained as `wanted`.
    pub fn wait_for_lines(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) {
        self.wait(what, |desktop| {
            let lines = desktop.lines();
            lines.len() >= 5 && lines[lines.len() - 5..].iter().all(&wanted)
        });
    }

    fn xdotool(&self, arguments: &[&str]) -> String {
        let output = Command::new("xdotool").args(arguments).env("DISPLAY", &self.display).output();
        stdout(&output.unwrap_or_else(|e| panic!("xdotool: {e}; run `make setup`")))
    }

    /// Whether a window has this in its title.
    pub fn titled(&self, part: &str) -> bool {
        !self.xdotool(&["search", "--name", part]).trim().is_empty()
    }

    pub fn press(&self, key: &str) {
        self.send("key", key);
    }

    /// Presses a key until [`Desktop::release`].
    pub fn hold(&self, key: &str) {
        self.send("keydown", key);
    }

    pub fn release(&self, key: &str) {
        self.send("keyup", key);
    }

    fn send(&self, what: &str, key: &str) {
        let run = |arguments: &[&str]| self.xdotool(arguments);
        let windows = run(&["search", "--name", "whycam"]);
        let window = windows.lines().last().expect("a window");
        run(&["windowactivate", "--sync", window]);
        run(&[what, key]);
    }

    /// Presses a key and waits until it changes the picture.
    pub fn press_to_change(&mut self, key: &str) {
        let before = self.screenshot();
        self.press(key);
        self.wait(&format!("{key} changes the picture"), |desktop| {
            changed_pixels(&before, &desktop.screenshot()) > 200
        });
    }
}

fn changed_pixels(before: &RgbImage, after: &RgbImage) -> usize {
    let pairs = before.pixels().zip(after.pixels());
    pairs.filter(|(a, b)| a.0.iter().zip(b.0).any(|(x, y)| x.abs_diff(y) > 4)).count()
}

impl Drop for Desktop {
    fn drop(&mut self) {
        for process in [&mut self.whycam, &mut self.manager, &mut self.server] {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
