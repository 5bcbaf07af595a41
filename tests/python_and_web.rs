//! A prepared model in Python and in a browser: the same map as whycam's own.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ndarray::{Array2, s};
use serde_json::Value;

use crate::support::browser::Browser;
use crate::support::served::Served;
use crate::support::{Folder, assert_ok, stdout, tool, whycam};

fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).display().to_string()
}

/// A picture of the model's size, so that nothing is resized: its path, its class and its map by whycam.
fn explained(folder: &Folder) -> (String, String, Array2<f32>) {
    let picture = folder.file("picture.png");
    let film = folder.file("drawn.gif");
    assert_ok(&whycam(&["demo", "--headless", "--quiet", "--size", "224x224", "--frames", "1", "--record", &film]));
    image::open(&film).unwrap().to_rgb8().save(&picture).unwrap();
    let maps = folder.file("maps");
    let output = whycam(&["explain", &picture, "--maps", &maps, "--json", "-", "--quiet"]);
    assert_ok(&output);
    let line: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let map = ndarray_npy::read_npy(format!("{maps}/000000.npy")).unwrap();
    (picture, line["label"].as_str().unwrap().to_owned(), map)
}

fn prepare(folder: &Folder) -> String {
    let model = folder.file("flowers.onnx");
    assert_ok(&whycam(&["prepare", "flowers", "-o", &model, "--cam", "--quiet"]));
    let about = whycam(&["inspect", &model, "--json"]);
    fs::write(folder.file("flowers.json"), about.stdout).unwrap();
    model
}

fn assert_same(map: &Array2<f32>, expected: &Array2<f32>) {
    let largest = expected.iter().copied().fold(0.0, f32::max);
    let apart = (map - expected).iter().fold(0.0, |most: f32, v| most.max(v.abs()));
    assert!(largest > 0.0 && apart <= 2e-3 * largest, "{apart} apart, largest {largest}");
}

mod needs_python {
    use super::*;

    #[test]
    #[ignore = "needs numpy, onnxruntime and pillow; set PYTHON to a Python that has them, and run make test"]
    fn ten_lines_of_python_give_the_same_map() {
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
        let has = Command::new(&python).args(["-c", "import numpy, onnxruntime, PIL"]).output();
        let has = has.is_ok_and(|output| output.status.success());
        assert!(has, "{python} lacks numpy, onnxruntime or pillow; set PYTHON to one that has them");
        let folder = Folder::new("python");
        let (picture, label, expected) = explained(&folder);
        let map = folder.file("map.npy");
        let printed = tool(&python, &[&example("explain.py"), &prepare(&folder), &picture, &map]);
        assert_eq!(printed.trim(), label);
        assert_same(&ndarray_npy::read_npy(&map).unwrap(), &expected);
        // Over the picture, but for the margin, which Pillow leaves empty and whycam fills from its neighbours.
        let maps = folder.file("over");
        assert_ok(&whycam(&["explain", &picture, "--maps", &maps, "--map-size", "picture", "--quiet"]));
        let inner = |file: String| -> Array2<f32> {
            let map: Array2<f32> = ndarray_npy::read_npy(file).unwrap();
            map.slice(s![16..208, 16..208]).to_owned()
        };
        assert_same(&inner(map.replace(".npy", ".over.npy")), &inner(format!("{maps}/000000.npy")));
    }
}

/// The folder that `whycam web` writes, and a server for it.
struct Page {
    folder: Folder,
    listener: TcpListener,
}

impl Page {
    fn new() -> Self {
        let (folder, runtime) = (Folder::new("web"), Folder::new("web-runtime"));
        tool("npm", &["install", "--silent", "--prefix", &runtime.file(""), "onnxruntime-web@1.30.0"]);
        let (page, dist) = (folder.file(""), runtime.file("node_modules/onnxruntime-web/dist"));
        assert_ok(&whycam(&["web", "flowers", "-o", &page, "--runtime", &dist, "--quiet"]));
        Self { folder, listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    /// The report of a browser on the page about a frame.
    fn result(&self, query: &str, frame: u64, flags: &[&str]) -> Value {
        let address = format!("http://{}/index.html?report=/report{query}", self.listener.local_addr().unwrap());
        let profile = format!("--user-data-dir={}", self.folder.file("profile"));
        let mut browser = Command::new("chromium");
        browser.args(["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]);
        browser.args(flags).args([&profile, &address]).stderr(Stdio::null());
        let mut browser = browser.spawn().expect("chromium starts; make test-web installs it");
        let mut reports = self.listener.incoming().filter_map(|stream| self.answer(stream.unwrap()));
        let reported = reports.find(|report| report["frame"] == frame);
        browser.kill().unwrap();
        browser.wait().unwrap();
        reported.unwrap()
    }

    /// Answers one request for a file, or takes a report.
    fn answer(&self, stream: TcpStream) -> Option<Value> {
        // Browsers open connections that they do not use.
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut reader = BufReader::new(&stream);
        let mut head = Vec::new();
        let lines = std::iter::from_fn(|| {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|_| !line.trim().is_empty()).map(|_| line)
        });
        head.extend(lines);
        let path = head.first()?.split(' ').nth(1)?.split('?').next()?.to_owned();
        if path == "/report" {
            let length =
                head.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
            let mut body = vec![0; length?];
            reader.read_exact(&mut body).ok()?;
            (&stream).write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").ok()?;
            return serde_json::from_slice(&body).ok();
        }
        let kind = match path.rsplit('.').next()? {
            "html" => "text/html",
            "js" | "mjs" => "text/javascript",
            "css" => "text/css",
            "json" => "application/json",
            "wasm" => "application/wasm",
            "png" => "image/png",
            _ => "application/octet-stream",
        };
        let file = fs::read(self.folder.file(path.trim_start_matches('/')));
        let status = if file.is_ok() { "200 OK" } else { "404 Not Found" };
        let body = file.unwrap_or_default();
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        let _ = (&stream).write_all(head.as_bytes()).and_then(|()| (&stream).write_all(&body));
        None
    }
}

fn map_of(result: &Value) -> Array2<f32> {
    let values = result["map"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
    Array2::from_shape_vec((14, 14), values).unwrap()
}

mod long {
    use super::*;

    #[test]
    #[ignore = "needs a browser; make test-web installs it and runs this"]
    fn the_page_of_live_view_shows_the_picture_and_its_buttons_work() {
        let served = Served::start(&["demo", "--headless", "--serve", "127.0.0.1:0"]);
        let address = format!("http://{}/", served.host);
        let mut desktop = Browser::open("desktop", &address, (1280, 900), &[]);
        let mut phone = Browser::open("phone", &address, (390, 844), &[]);
        // Both see the picture, the class and the plot.
        for browser in [&mut desktop, &mut phone] {
            browser.wait("document.getElementById('live').naturalWidth > 0");
            browser.wait("/daisy|dandelion|roses|sunflowers|tulips/.test(document.body.innerText)");
            browser.wait("document.documentElement.scrollWidth <= innerWidth");
        }
        // What one presses, both see.
        desktop.click("#pause");
        served.event("state", |state| state["paused"] == true);
        phone.wait("document.getElementById('pause').getAttribute('aria-pressed') === 'true'");
        phone.click("#pause");
        served.event("state", |state| state["paused"] == false);
        let change = "(() => { const menu = document.getElementById('method'); menu.value = 'layer-cam'; \
                      menu.dispatchEvent(new Event('change', { bubbles: true })); })()";
        desktop.value(change);
        served.event("frame", |frame| frame["method"] == "layer-cam");
        desktop.wait("document.getElementById('live').naturalWidth > 0");
    }

    #[test]
    #[ignore = "needs a browser; make test-web installs it and runs this"]
    fn a_page_gives_the_same_map_of_a_picture_and_of_a_webcam() {
        let page = Page::new();
        let (picture, label, expected) = explained(&page.folder);
        let of_picture = page.result("&picture=picture.png&backend=wasm", 1, &[]);
        assert_eq!(of_picture["label"], label.as_str());
        assert_same(&map_of(&of_picture), &expected);
        // A webcam that shows the picture, through YUV.
        let film = page.folder.file("webcam.y4m");
        let look = ["-frames:v", "30", "-vf", "scale=640:480:flags=lanczos", "-pix_fmt", "yuv420p"];
        tool("ffmpeg", &[&["-v", "error", "-loop", "1", "-i", &picture], &look[..], &[&film]].concat());
        let file = format!("--use-file-for-fake-video-capture={film}");
        let of_webcam = page.result(
            "&start=camera&backend=wasm",
            5,
            &["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", &file],
        );
        let (map, dot) = (map_of(&of_webcam), |a: &Array2<f32>, b: &Array2<f32>| (a * b).sum());
        let cosine = dot(&map, &expected) / (dot(&map, &map) * dot(&expected, &expected)).sqrt();
        assert!(cosine > 0.98 && of_webcam["label"] == label.as_str(), "cosine {cosine}, {}", of_webcam["label"]);
    }
}
