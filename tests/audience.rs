//! Live view for an audience: the page, streams, the kiosk.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::desktop::Desktop;
use crate::support::served::{Head, Served};
use crate::support::streams::free_port;
use crate::support::{Folder, assert_fails, complete_lines, film, stderr, tool, wait_until, whycam};

const SERVE: [&str; 4] = ["demo", "--headless", "--serve", "127.0.0.1:0"];

#[test]
fn a_page_shows_the_live_picture_and_obeys() {
    let served = Served::start(&SERVE);
    let mut page = served.get("/");
    assert!(page.status == 200 && page.headers.contains("default-src 'self'"), "{}", page.headers);
    let text = String::from_utf8(page.text()).unwrap();
    assert!(text.contains("<html") && !text.contains("=\"http") && !text.contains("=\"//"));
    let mut live = served.get("/live.mjpg");
    let [first, second] = [live.picture(), live.picture()];
    assert_eq!(first.dimensions(), (640, 480));
    assert!(first != second, "the picture stands still");

    let frame = served.event("frame", |_| true);
    for field in ["frame", "pts_us", "label", "probability", "logit", "top", "map", "method", "layer", "model"] {
        assert!(!frame[field].is_null(), "{field} is missing in {frame}");
    }
    assert_eq!(served.event("state", |_| true)["blend"], "evidence");
    assert_eq!(served.post(r#"{"do":"blend","name":"contour"}"#), 204);
    served.event("state", |state| state["blend"] == "contour");
    assert_eq!(served.post(r#"{"do":"method","name":"layer-cam"}"#), 204);
    served.event("state", |state| state["method"] == "layer-cam");
    assert_eq!(served.post(r#"{"do":"class","index":2}"#), 204);
    served.event("frame", |frame| frame["class_index"] == 2);
    served.event("state", |state| state["layers"].as_array().is_some_and(|layers| layers.len() > 1));
    assert_eq!(served.post(r#"{"do":"pause"}"#), 204);
    served.event("state", |state| state["paused"] == true);
    // A viewer who comes while the picture is held gets it, too.
    drop(live);
    let held = served.get("/live.mjpg").picture();
    assert_eq!(held.dimensions(), (640, 480));
    let png = image::load_from_memory(&served.get("/snapshot.png").text()).unwrap();
    assert_eq!(png.to_rgb8().dimensions(), (640, 480));
    let history: serde_json::Value = serde_json::from_slice(&served.get("/history").text()).unwrap();
    assert!(history[0][0].is_u64() && history[0][1].is_string(), "{history}");

    for (line, status) in [("GET /command", 405), ("POST /", 405), ("GET /../Cargo.toml", 404), ("GET /nothing", 404)] {
        assert_eq!(served.request(line, "", "").status, status, "{line}");
    }
    assert_eq!(served.post(r#"{"do":"quit"}"#), 400);
    assert_eq!(served.post(&format!(r#"{{"do":"words","text":"{}"}}"#, "a".repeat(9000))), 413);
    assert_eq!(served.request("POST /command", "Content-Type: text/plain\r\n", "{}").status, 415);
}

#[test]
fn a_page_for_other_machines_needs_its_token() {
    let served = Served::start(&["demo", "--headless", "--serve", "0.0.0.0:0"]);
    let token = served.rest.split("token=").nth(1).unwrap().to_owned();
    assert_eq!(token.len(), 32);
    assert_eq!(served.get("/").status, 401);
    assert_eq!(served.get("/live.mjpg").status, 401);
    assert_eq!(served.get(&format!("/?token={}x", &token[1..])).status, 401);
    let entered = served.get(&format!("/?token={token}"));
    assert!(entered.status == 303 && entered.headers.contains("location: /\r"), "{}", entered.headers);
    let cookie = entered.headers.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    assert_eq!(served.request("GET /", &cookie, "").status, 200);
    assert_eq!(served.request("GET /live.mjpg", &format!("{cookie}Sec-Fetch-Site: cross-site\r\n"), "").status, 403);
    let foreign = format!("{cookie}Origin: http://evil.example\r\nContent-Type: application/json\r\n");
    assert_eq!(served.request("POST /command", &foreign, r#"{"do":"pause"}"#).status, 403);
}

#[test]
fn a_stalled_viewer_slows_nobody_and_costs_no_memory() {
    let served = Served::start(&[&SERVE[..], &["--size", "1280x720"]].concat());
    let mut viewers = [served.get("/live.mjpg"), served.get("/live.mjpg")];
    for viewer in &mut viewers {
        viewer.picture();
    }
    let count = |viewers: &mut [Head; 2], time: Duration| {
        let (mut pictures, began) = (0, Instant::now());
        while began.elapsed() < time {
            for viewer in viewers.iter_mut() {
                viewer.picture();
            }
            pictures += 1;
        }
        pictures
    };
    let alone = count(&mut viewers, Duration::from_secs(5));
    // These never read.
    let stalled: Vec<_> = (0..8).map(|_| served.get("/live.mjpg")).collect();
    count(&mut viewers, Duration::from_secs(3));
    let before = served.memory();
    let pictures = count(&mut viewers, Duration::from_secs(5));
    assert!(pictures > alone / 3, "{pictures} pictures in 5 s, {alone} without the stalled viewers");
    let after = served.memory();
    assert!(after < before + 20_000, "{before} kB before, {after} kB after");
    drop(stalled);
}

#[test]
fn a_thousand_connections_are_bounded_and_the_page_comes_back() {
    let served = Served::start(&SERVE);
    let mut crowd: Vec<TcpStream> = (0..1000).map(|_| TcpStream::connect(&served.host).unwrap()).collect();
    let refused = crowd.iter_mut().rev().take(100).filter(|stream| {
        let mut stream: &TcpStream = stream;
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut text = [0; 12];
        stream.read(&mut text).is_ok_and(|length| text[..length].starts_with(b"HTTP/1.1 503"))
    });
    assert!(refused.count() > 50, "the connections are not bounded");
    let status = fs::read_dir(format!("/proc/{}/fd", served.whycam.id())).unwrap().count();
    assert!(status < 200, "{status} files are open");
    drop(crowd);
    wait_until("the page comes back", || served.get("/").status == 200);
    assert!(served.get("/live.mjpg").picture().width() > 0);
}

/// A receiver of a stream, which ends after a number of frames, and writes how many came.
fn receive(address: &str, frames: u32, options: &[&str]) -> Child {
    let count = frames.to_string();
    let receive = ["-v", "error", "-i", address, "-frames:v", &count, "-f", "framemd5", "-"];
    let mut receiver = Command::new("ffmpeg");
    receiver.args(options).args(receive).stdout(Stdio::piped()).stderr(Stdio::null());
    receiver.spawn().unwrap_or_else(|e| panic!("ffmpeg: {e}; run `make setup`"))
}

fn received(receiver: Child) -> usize {
    let output = receiver.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().filter(|line| !line.starts_with('#')).count()
}

/// Each receiver waits for the program, takes some frames and goes away; then it comes back.
#[test]
fn a_stream_goes_out_to_a_receiver_that_goes_away_and_comes_back() {
    let port = free_port();
    let [rtmp, tcp] = [format!("rtmp://127.0.0.1:{port}/live/show"), format!("tcp://127.0.0.1:{port}")];
    for (address, listening) in [(&rtmp, rtmp.clone()), (&tcp, format!("{tcp}?listen=1"))] {
        let options: &[&str] = if address == &rtmp { &["-listen", "1"] } else { &[] };
        let first = receive(&listening, 10, options);
        let served = Served::start(&[&SERVE[..], &["--record", address]].concat());
        served.wait_for(&format!("sending to {address}"));
        assert_eq!(received(first), 10, "{address}");
        served.wait_for("trying again");
        let second = receive(&listening, 10, options);
        served.wait_for(&format!("sending to {address}"));
        assert_eq!(received(second), 10, "{address}");
        // The view went on.
        assert!(served.get("/live.mjpg").picture().width() > 0);
    }
}

#[test]
fn a_stream_goes_out_over_srt_and_rtsp() {
    let [srt, rtsp] = [format!("srt://127.0.0.1:{}", free_port()), format!("rtsp://127.0.0.1:{}/live", free_port())];
    let listening =
        [(&srt, format!("{srt}?mode=listener"), &[][..]), (&rtsp, rtsp.clone(), &["-rtsp_flags", "listen"][..])];
    for (address, receiver, options) in listening {
        let receiver = receive(&receiver, 10, options);
        let served = Served::start(&[&SERVE[..], &["--record", address]].concat());
        served.wait_for(&format!("sending to {address}"));
        assert_eq!(received(receiver), 10, "{address}");
    }
}

#[test]
fn a_stream_over_udp_has_the_size_of_the_picture() {
    let address = format!("udp://127.0.0.1:{}", free_port());
    let served = Served::start(&[&SERVE[..], &["--record", &address, "--size", "321x241"]].concat());
    served.wait_for("sending to udp");
    let entries = ["-show_entries", "stream=codec_name,width,height,pix_fmt", "-of", "csv=p=0"];
    let probed = tool("ffprobe", &[&["-v", "error", "-select_streams", "v:0"][..], &entries, &[&address]].concat());
    assert!(probed.contains("h264,320,240,yuv420p"), "{probed}");
}

#[test]
fn an_address_that_whycam_does_not_stream_to_is_refused_at_once() {
    let folder = Folder::new("no-stream");
    let input = film(&folder, "in.mp4", &["-frames:v", "10"]);
    let live = ["live", "--input", &input, "--headless", "--record"];
    assert_fails(&[&live[..], &["ftp://127.0.0.1/x"]].concat(), 1, &["ftp://127.0.0.1/x", "rtmp://", "srt://"]);
    assert_fails(
        &[&live[..3], &["--headless", "--camera-out", "/dev/null"]].concat(),
        1,
        &["/dev/null", "v4l2loopback"],
    );
}

#[test]
fn the_end_does_not_wait_for_a_receiver_that_takes_nothing() {
    // It accepts the connection, and never reads.
    let receiver = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", receiver.local_addr().unwrap());
    let began = Instant::now();
    let output = whycam(&["demo", "--headless", "--serve", "127.0.0.1:0", "--seconds", "3", "--record", &address]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_kiosk_ignores_keys_that_stop_and_forgets_its_visitor() {
    let arguments = ["demo", "--kiosk", "--fullscreen", "--kiosk-reset", "3", "--json", "lines.json", "--log", "log"];
    let mut desktop = Desktop::new("kiosk", &arguments);
    desktop.wait_for_picture();
    // The picture is green at its edges.
    let is_green = |shot: &image::RgbImage, x: u32, y: u32| {
        let [red, green, blue] = shot.get_pixel(x, y).0;
        green > 30 && green > red && green > blue
    };
    desktop.wait("the window fills the screen", |desktop| {
        let shot = desktop.screenshot();
        [(2, 300), (797, 300), (400, 2), (700, 597)].iter().all(|(x, y)| is_green(&shot, *x, *y))
    });
    for key in ["q", "Escape", "s", "r"] {
        desktop.press(key);
    }
    desktop.press("m");
    desktop.wait_for_lines("another method", |line| line["method"] == "grad-cam++");
    desktop.wait_for_lines("the first method again", |line| line["method"] == "grad-cam");
    assert!(desktop.whycam.try_wait().unwrap().is_none(), "a key stopped it");
    let written: Vec<_> = fs::read_dir(&desktop.folder.0).unwrap().flatten().map(|f| f.file_name()).collect();
    assert!(!written.iter().any(|name| name.to_string_lossy().ends_with("mp4")), "{written:?}");
    let log = fs::read_dir(desktop.folder.0.join("log")).unwrap().flatten().next().unwrap();
    assert!(fs::read_to_string(log.path()).unwrap().contains("Z the log is in"));
    let _ = desktop.whycam.kill();
}

#[test]
fn a_kiosk_shows_its_source_for_ever() {
    let folder = Folder::new("kiosk-source");
    let input = film(&folder, "in.mp4", &["-frames:v", "20"]);
    let log = folder.file("log");
    let kiosk = ["--kiosk", "--headless", "--serve", "127.0.0.1:0", "--log", &log];
    // A film begins again.
    let served = Served::start(&[&["live", "--input", &input][..], &kiosk].concat());
    served.event("frame", |frame| frame["pts_us"].as_u64() > Some(2_000_000));
    assert_eq!(served.get("/snapshot.png").status, 403);
    drop(served);
}

/// One film has five times the frames of the other.
#[test]
fn several_films_share_a_page_and_the_model_in_turns() {
    let folder = Folder::new("several");
    let slow = film(&folder, "slow.mp4", &["-r", "10"]);
    let fast = film(&folder, "fast.mp4", &["-r", "50", "-vf", "scale=160:240"]);
    let json = folder.file("lines.json");
    let films = ["--input", &slow, "--input", &fast, "--loop"];
    let show = ["--serve", "127.0.0.1:0", "--headless", "--json", &json];
    let served = Served::start(&[&["live"][..], &films, &show].concat());
    let mut live = served.get("/live.mjpg");
    live.picture();
    wait_until("both films were explained", || complete_lines(&json).len() > 60);
    // The first film's size twice, side by side; the pictures before are of the film that came first.
    wait_until("both films are side by side", || live.picture().dimensions() == (640, 240));
    let lines = complete_lines(&json);
    let frames = |name: &str| -> Vec<u64> {
        lines.iter().filter(|line| line["input"] == name).map(|line| line["frame"].as_u64().unwrap()).collect()
    };
    let (slow_frames, fast_frames) = (frames(&slow), frames(&fast));
    // The fast one gets what the slow one leaves: the slow one has nearly all of its frames explained, or on a slow machine as
    // many as the other.
    let given = slow_frames.last().unwrap() - slow_frames[0] + 1;
    let whole = slow_frames.len() as u64 * 3 >= given * 2;
    let even = slow_frames.len() * 2 >= fast_frames.len();
    assert!(slow_frames.len() > 5 && (whole || even), "{slow_frames:?} and {fast_frames:?}");
    drop(served);
    let record = [&films[..], &["--headless", "--record", "a.mp4"]].concat();
    assert_fails(&[&["live"][..], &record].concat(), 2, &["one source"]);
    let many: Vec<&str> = (0..5).flat_map(|_| ["--input", slow.as_str()]).collect();
    assert_fails(&[&["live"][..], &many].concat(), 2, &["5 sources", "4"]);
}

/// Serves a short stream to each client in turn, and hangs up.
fn dying_stream(clip: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let _ = client.read(&mut [0; 4096]);
            let _ = client.write_all(b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n");
            let _ = client.write_all(&clip);
        }
    });
    address
}

/// Lets a source die this many times. Memory, threads and files must not grow.
fn kiosk_day(deaths: usize) {
    let folder = Folder::new("kiosk-day");
    let clip = film(&folder, "in.ts", &["-frames:v", "10", "-an"]);
    let address = dying_stream(fs::read(clip).unwrap());
    let log = folder.file("log");
    let kiosk = ["--kiosk", "--headless", "--serve", "127.0.0.1:0", "--log", &log];
    let served = Served::start(&[&["live", "--input", &address][..], &kiosk].concat());
    let mut rows = Vec::new();
    for _ in 0..deaths {
        served.wait_for("waiting for it to come back");
        rows.push((served.memory(), threads_and_files(&served)));
    }
    let lines: Vec<String> = rows.iter().map(|(memory, held)| format!("{memory},{held}")).collect();
    let csv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kiosk-day.csv");
    fs::write(csv, format!("memory_kb,threads_and_files\n{}\n", lines.join("\n"))).unwrap();
    // The least memory and the most threads and files, in the second quarter and in the last.
    let quarter = deaths / 4;
    let of = |from: usize| {
        let part = &rows[from..from + quarter];
        (part.iter().map(|row| row.0).min().unwrap(), part.iter().map(|row| row.1).max().unwrap())
    };
    let [(memory, held), (memory_later, held_later)] = [of(quarter), of(3 * quarter)];
    eprintln!("{deaths} deaths: {memory} kB, {held} threads and files; later {memory_later} kB, {held_later}");
    assert!(memory_later < memory + memory / 20 + 10_000, "memory grows from {memory} to {memory_later} kB");
    assert!(held_later <= held + 2, "{held} threads and files grow to {held_later}");
    let logged = fs::read_dir(&log).unwrap().flatten().next().unwrap();
    assert!(fs::read_to_string(logged.path()).unwrap().contains("the stream has ended; waiting for it to come back"));
}

#[test]
fn a_kiosk_looks_for_a_stream_that_dies() {
    kiosk_day(12);
}

mod long {
    #[test]
    #[ignore = "takes half an hour; `make kiosk-day` runs it"]
    fn nothing_grows_in_a_day_of_deaths_every_minute() {
        super::kiosk_day(24 * 60);
    }
}

fn threads_and_files(served: &Served) -> usize {
    let count = |what: &str| fs::read_dir(format!("/proc/{}/{what}", served.whycam.id())).unwrap().count();
    count("task") + count("fd")
}
