//! Films and pictures.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use super::Trial;
use crate::support::{Folder, command, complete_lines, json_lines, stderr, stdout, tool, wait_until, whycam};

/// The drawn files, and a folder for results.
struct Drawn {
    folder: Folder,
}

pub fn trials() -> Vec<Trial> {
    let folder = Folder::new("trials-media");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trials/draw.sh");
    tool("sh", &[&script.display().to_string(), &folder.0.display().to_string()]);
    std::fs::create_dir(folder.0.join("out")).unwrap();
    let drawn = Drawn { folder };
    [drawn.times(), drawn.results(), drawn.pictures(), drawn.colours(), drawn.refusals(), drawn.folders()].concat()
}

fn trial(case: &'static str, right: &'static str, got: String) -> Trial {
    Trial { case, right, got }
}

/// The first line of what the program says, without its name and the path of the file.
fn said(output: &Output) -> String {
    let text = stderr(output);
    let line = text.lines().find(|line| !line.contains("captured")).unwrap_or_default();
    line.rsplit_once(": ").map_or(line, |(_, said)| said).to_owned()
}

impl Drawn {
    fn path(&self, name: &str) -> String {
        self.folder.file(name)
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        json_lines(&stdout(&whycam(&["explain", &self.path(name), "--json", "-", "--quiet"])))
    }

    /// Frames, the time of the last one, and whether times rise.
    fn seen(&self, name: &str) -> String {
        let lines = self.lines(name);
        let times: Vec<f64> = lines.iter().map(|line| line["pts_us"].as_f64().unwrap() / 1e6).collect();
        let rising = times.windows(2).all(|pair| pair[0] < pair[1]);
        let order = if rising { "rising" } else { "not rising" };
        let shape = lines.first().map_or(String::new(), |line| format!("{}x{}", line["width"], line["height"]));
        format!("{} of {shape}, to {:.1} s, {order}", lines.len(), times.last().unwrap_or(&-1.0))
    }

    /// The class scores of a picture.
    fn scores(&self, name: &str) -> String {
        self.lines(name).first().map_or(String::new(), |line| line["top"].to_string())
    }

    /// Explains into a file, and says what lies in it.
    fn film(&self, name: &str, to: &str, options: &[&str]) -> String {
        let to = self.path(&format!("out/{to}"));
        let input = self.path(name);
        let output = whycam(&[&["explain", &input, "-o", &to, "--force"], options].concat());
        if !output.status.success() {
            return said(&output);
        }
        contents(&to)
    }

    fn times(&self) -> Vec<Trial> {
        let live = || {
            let film = self.path("jump.ts");
            let output = whycam(&["live", "--headless", "--input", &film, "--seconds", "30", "--no-smoothing"]);
            // What a stall would leave is a part of the 120 frames.
            let text = stderr(&output);
            let captured = text.split("captured ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or("none");
            format!("captured {captured}")
        };
        vec![
            trial("three parts joined", "180 of 160x120, to 6.0 s, rising", self.seen("joined.ts")),
            trial("a clock that leaps by ten hours", "120 of 160x120, to 4.0 s, rising", self.seen("jump.ts")),
            trial("the same, live", "captured 120", live()),
            trial("a raw stream without times", "60 of 160x120, to 2.0 s, rising", self.seen("raw.h264")),
            trial("JPEGs in a row", "20 of 160x120, to 0.8 s, rising", self.seen("clip.mjpeg")),
            trial("a film called .jpg", "60 of 160x120, to 2.0 s, rising", self.seen("film.jpg")),
            trial("the size changes on the way", "120 of 160x120, to 4.0 s, rising", self.seen("turns.h264")),
            trial("a colon in the name", "60 of 160x120, to 2.0 s, rising", self.seen("10:20.mp4")),
        ]
    }

    fn results(&self) -> Vec<Trial> {
        vec![
            trial("sound that .mp4 cannot hold", "60 frames, 2.0 s, h264", self.film("adpcm.avi", "adpcm.mp4", &[])),
            trial("the same beside the input", "60 frames, 2.0 s, h264 adpcm_ms", {
                let output = whycam(&["explain", &self.path("adpcm.avi"), "--force"]);
                if output.status.success() { contents(&self.path("adpcm.whycam.mkv")) } else { said(&output) }
            }),
            trial("a track of an unknown codec", "60 frames, 2.0 s, h264 aac", self.film("apac.mp4", "apac.mp4", &[])),
            trial("parts joined, with sound", "180 frames, 6.0 s, h264 aac", self.film("joined.ts", "joined.mp4", &[])),
            trial("a leap, into .mkv", "120 frames, 4.0 s, h264 aac", self.film("jump.ts", "jump.mkv", &[])),
            trial("a raw stream, into .mp4", "60 frames, 2.0 s, h264", self.film("raw.h264", "raw.mp4", &[])),
            trial("a film into .avi", "60 frames, 2.0 s, h264 aac", self.film("plain.mp4", "plain.avi", &[])),
            trial("a colon in the result's name", "60 frames, 2.0 s, h264 aac", self.film("plain.mp4", "1:2.mp4", &[])),
            trial("the language of the sound", "fra", {
                let _ = self.film("french.mkv", "french.mkv", &[]);
                let arguments = ["-v", "error", "-show_entries", "stream_tags=language", "-of", "csv=p=0"];
                let found = tool("ffprobe", &[&arguments[..], &[&self.path("out/french.mkv")]].concat());
                found.split_whitespace().last().unwrap_or_default().to_owned()
            }),
            trial("a GIF whose last picture stays", "4 frames, 2.3 s, gif", self.film("last.gif", "last.gif", &[])),
            trial("the same, into .mp4", "4 frames, 2.3 s, h264", self.film("last.gif", "last.mp4", &[])),
            trial("a film into a GIF", "60 frames, 2.0 s, gif", self.film("plain.mp4", "plain.gif", &[])),
            trial("how often a GIF is repeated", "2", {
                let bytes = std::fs::read(self.path("out/last.gif")).unwrap();
                let mark = b"NETSCAPE2.0\x03\x01";
                let at = bytes.windows(mark.len()).position(|part| part == mark);
                at.map_or("never".into(), |at| bytes[at + mark.len()].to_string())
            }),
            trial("an odd size", "said: 4:4:4 does not play everywhere", {
                let output = whycam(&["explain", &self.path("odd.mp4"), "-o", &self.path("out/odd.mp4"), "--force"]);
                let told = said(&output).contains("(4:4:4), which browsers and phones do not play");
                if told { "said: 4:4:4 does not play everywhere".into() } else { said(&output) }
            }),
        ]
    }

    fn pictures(&self) -> Vec<Trial> {
        let one = "1 of 160x120, to 0.0 s, rising";
        let same = |same: bool| if same { "the same".into() } else { "different".to_owned() };
        vec![
            trial("PPM", one, self.seen("a.ppm")),
            trial("AVIF", one, self.seen("a.avif")),
            trial("TIFF with a palette", one, self.seen("palette.tif")),
            trial("animated WebP", "4 of 160x120, to 0.3 s, rising", self.seen("anim.webp")),
            trial("animated PNG", "4 of 160x120, to 0.3 s, rising", self.seen("anim.png")),
            trial("hidden colours, red and green", "the same", {
                same(self.scores("clear-red.png") == self.scores("clear-green.png"))
            }),
            trial("half of a JPEG", "its end is missing, so that a part of it may be grey", {
                said(&whycam(&["explain", &self.path("half.jpg"), "--json", "-"]))
            }),
            trial("a picture through a pipe", "the same", {
                let piped = format!(
                    "cat {} | {} explain /dev/stdin --json - --quiet",
                    self.path("whole.jpg"),
                    env!("CARGO_BIN_EXE_whycam")
                );
                let lines = json_lines(&tool("sh", &["-c", &piped]));
                same(lines[0]["top"] == self.lines("whole.jpg")[0]["top"])
            }),
        ]
    }

    /// The colour in the middle of the first frame of a film, once it is written without a map and without loss.
    fn colour(&self, name: &str) -> String {
        let to = self.path("out/colour.mkv");
        let input = self.path(name);
        let lossless = ["--encoder", "libx264rgb", "--quality", "0", "--alpha", "0", "--force"];
        let output = whycam(&[&["explain", &input, "-o", &to], &lossless[..]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let frame = self.path("out/colour.ppm");
        tool("ffmpeg", &["-v", "error", "-y", "-i", &to, "-frames:v", "1", &frame]);
        let picture = image::open(&frame).unwrap().into_rgb8();
        let [r, g, b] = picture.get_pixel(picture.width() / 2, picture.height() / 4).0;
        format!("{r:02x}{g:02x}{b:02x}")
    }

    fn colours(&self) -> Vec<Trial> {
        vec![
            trial("green of HD without a tag", "00ff00", near(&self.colour("hd.mp4"), "00ff00")),
            trial("red through an encoder of RGB", "fe0000", near(&self.colour("red.mp4"), "fe0000")),
        ]
    }

    fn refusals(&self) -> Vec<Trial> {
        let refused = |name: &str| {
            let output = whycam(&["explain", &self.path(name), "--json", "-"]);
            format!("{} {}", output.status.code().unwrap_or(-1), said(&output))
        };
        let itself = |option: &str| {
            let film = self.path("plain.mp4");
            let output = whycam(&["explain", &film, option, &film, "--force"]);
            output.status.code().map_or("killed".into(), |code| code.to_string())
        };
        vec![
            trial("a text", "1 it is text, neither a picture nor a film", refused("notes.txt")),
            trial("an empty file", "1 the file is empty", refused("empty.jpg")),
            trial(
                "HEIC that FFmpeg does not read",
                "1 a picture in the HEIF container (HEIC or AVIF) of a kind that the FFmpeg here does not read; save it as \
                 JPEG, for instance with heif-convert, or install a newer FFmpeg",
                refused("a.heic"),
            ),
            trial("--json on the input", "2", itself("--json")),
            trial("-o on the input", "2", itself("-o")),
        ]
    }

    fn folders(&self) -> Vec<Trial> {
        let run = |folder: &str, to: &str, options: &[&str]| {
            let (folder, to) = (self.path(folder), self.path(to));
            let output = whycam(&[&["explain", &folder, "-o", &to], options].concat());
            let mut written: Vec<String> = walk(Path::new(&to));
            written.sort();
            format!("{} {}", output.status.code().unwrap_or(-1), written.join(" "))
        };
        let all = "0 1.whycam.mkv 2.whycam.mp4 3.whycam.png";
        vec![
            trial("a folder with a link to itself", all, run("folder", "out/a/", &[])),
            trial("a result that is in the way", "1 1.whycam.mkv 2.whycam.mp4 3.whycam.png", {
                std::fs::create_dir_all(self.path("out/b")).unwrap();
                std::fs::write(self.path("out/b/1.whycam.mkv"), "mine").unwrap();
                run("folder", "out/b/", &[])
            }),
            trial("p.jpg beside p.png", "0 p.png.whycam.png p.whycam.png", run("two", "out/c/", &["--force"])),
            trial("the same in two parts", "0 p.png.whycam.png p.whycam.png", {
                let _ = run("two", "out/d/", &["--shard", "1/2"]);
                run("two", "out/d/", &["--shard", "2/2"])
            }),
            trial("a name that is not UTF-8", r"b\xFFd.jpg", self.odd_name()),
            trial("SIGTERM in the middle", "130, the film plays, nothing is left", self.terminated()),
        ]
    }
}

impl Drawn {
    /// How a picture is called whose name is not UTF-8.
    fn odd_name(&self) -> String {
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::OsStr::from_bytes(b"b\xFFd.jpg");
        std::fs::copy(self.path("whole.jpg"), self.folder.0.join(name)).unwrap();
        let mut explain = command(&["explain", "--json", "-", "--quiet"]);
        let output = explain.arg(name).current_dir(&self.folder.0).output().unwrap();
        let lines = json_lines(&stdout(&output));
        lines.first().and_then(|line| line["input"].as_str()).map_or_else(|| said(&output), str::to_owned)
    }

    /// What a run leaves that is asked to end.
    fn terminated(&self) -> String {
        let long = self.path("out/long.mp4");
        let source = "testsrc2=size=320x240:rate=25:duration=120";
        tool("ffmpeg", &["-v", "error", "-f", "lavfi", "-i", source, "-preset", "ultrafast", &long]);
        let (to, json) = (self.path("out/cut.mp4"), self.path("out/cut.jsonl"));
        let mut child = command(&["explain", &long, "-o", &to, "--json", &json, "--quiet"]).spawn().unwrap();
        wait_until("some frames are written", || complete_lines(&json).len() >= 5);
        tool("sh", &["-c", &format!("kill -TERM {}", child.id())]);
        let code = child.wait().unwrap().code().unwrap_or(-1);
        let plays = if contents(&to).ends_with("h264") { "the film plays" } else { "no film" };
        let parts = walk(&self.folder.0.join("out")).iter().any(|name| name.contains(".part."));
        format!("{code}, {plays}, {}", if parts { "a part is left" } else { "nothing is left" })
    }
}

/// `right`, if each channel of a colour is within three levels of it.
fn near(colour: &str, right: &str) -> String {
    let levels = |text: &str| -> Vec<i32> {
        (0..3).map(|channel| i32::from_str_radix(&text[2 * channel..2 * channel + 2], 16).unwrap()).collect()
    };
    let close = levels(colour).iter().zip(levels(right)).all(|(a, b)| (a - b).abs() <= 3);
    if close { right.to_owned() } else { colour.to_owned() }
}

/// Frames, seconds and codecs of a film, as ffprobe reads them.
fn contents(path: &str) -> String {
    let text =
        tool("ffprobe", &["-v", "error", "-count_packets", "-show_streams", "-show_format", "-of", "json", path]);
    let all: Value = serde_json::from_str(&text).unwrap();
    let streams = all["streams"].as_array().unwrap();
    let codecs: Vec<&str> = streams.iter().filter_map(|stream| stream["codec_name"].as_str()).collect();
    let video = streams.iter().find(|stream| stream["codec_type"] == "video").unwrap();
    let frames = video["nb_read_packets"].as_str().unwrap_or("0");
    let seconds = video["duration"].as_str().or(all["format"]["duration"].as_str()).unwrap_or("0");
    let seconds: f64 = seconds.parse().unwrap();
    format!("{frames} frames, {seconds:.1} s, {}", codecs.join(" "))
}

/// The names of the files below a folder.
fn walk(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            names.extend(walk(&entry.path()));
        } else {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names
}
