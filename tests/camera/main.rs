//! Real kernel cameras (the V4L2 test driver vivid) in a virtual machine, `tests/camera/machine`; skipped where there is
//! no QEMU. The whole of it: `make test-camera`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::process::Command;

use support::{Folder, stderr, stdout};

/// A net that an emulated processor runs as fast as a camera gives frames.
const FAST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/models/resnet.legacy.onnx");

/// What a shell script prints in the machine, where `whycam` is the program under test and `fast` goes on with a fast
/// model; `None` with a line that says what is skipped.
fn run(name: &str, cameras: u32, script: &str) -> Option<String> {
    let folder = Folder::new(name);
    let whycam = env!("CARGO_BIN_EXE_whycam");
    let head =
        format!("whycam() {{ {whycam} \"$@\"; }}\nfast() {{ whycam \"$@\" --model {FAST} --preset imagenet; }}\n");
    fs::write(folder.file("script"), head + script).unwrap();
    let machine = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/camera/machine");
    let output = Command::new(machine).arg(&folder.0).arg("script").env("CAMERAS", cameras.to_string()).output();
    let output = output.unwrap();
    let text = stdout(&output) + &stderr(&output);
    if output.status.code() == Some(125) {
        eprintln!("SKIPPED: the cameras' machine does not run here: {text}");
        return None;
    }
    assert!(output.status.success(), "{text}");
    Some(text)
}

/// Each of the words, in this order.
fn assert_says(text: &str, words: &[&str]) {
    let mut rest = text;
    for word in words {
        let at = rest.find(word).unwrap_or_else(|| panic!("no '{word}' (in this order) in: {text}"));
        rest = &rest[at + word.len()..];
    }
}

#[test]
fn a_camera_is_explained_whatever_state_it_was_left_in_until_it_is_unplugged() {
    let script = "
        whycam live --headless --frames 2; echo default: $?
        whycam cameras
        fast live --headless --frames 1 --size 320x180 --mirror --json -
        v4l2-ctl -d /dev/video0 --set-fmt-video=width=1280,height=720,pixelformat=GREY --set-parm=12.5
        fast live --headless --frames 2; echo left by another: $?
        (sleep 8; echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind) &
        fast live --headless --record /tmp/b.mp4; echo unplugged: $?
        ffprobe -v error -show_entries stream=width -of csv=p=0 /tmp/b.mp4
    ";
    let Some(text) = run("camera-left", 1, script) else { return };
    let of_default = ["explained 2 ", "default: 0", "0  vivid", "640x480 ", "25 15 10 5 4 2 1 fps", "1280x720 "];
    assert_says(&text, &of_default);
    assert_says(&text, &["\"width\":320,\"height\":180", "explained 2 ", "left by another: 0"]);
    assert_says(&text, &["camera 0: it was unplugged", "unplugged: 1", "640\n"]);
}

#[test]
#[ignore = "make test-camera"]
fn what_is_wrong_with_a_camera_is_told_apart_each_with_its_mend() {
    let script = "
        fast live --headless --frames 2 --camera 2; echo by number: $?
        fast live --headless --frames 2 --camera /dev/video2; echo by path: $?
        fast live --headless --frames 2 --camera VIVID-001; echo by name: $?
        fast live --headless --camera 1; echo metadata: $?
        fast live --headless --camera 9; echo unknown: $?
        fast live --frames 1; echo no display: $?
        chmod 0 /dev/video0
        setpriv --bounding-set=-dac_override,-dac_read_search --inh-caps=-dac_override,-dac_read_search \
            /bin/sh -c '. ./script-head; fast live --headless --frames 1'; echo forbidden: $?
        chmod 600 /dev/video0
        v4l2-ctl -d /dev/video0 --stream-mmap --stream-count=300 >/dev/null 2>&1 &
        sleep 3
        fast live --headless --frames 1; echo busy: $?
        wait
        (sleep 6; v4l2-ctl -d /dev/video0 --set-ctrl=inject_fatal_streaming_error=1) &
        fast live --headless --record /tmp/fault.mkv; echo fault: $?
        ffprobe -v error -show_entries stream=width -of csv=p=0 /tmp/fault.mkv
        fast live --headless --frames 2; echo after the fault: $?
        for each in 0 1; do fast live --headless --frames 30 --camera $((2 * each)) --json /tmp/$each.json & done; wait
        wc -l </tmp/0.json; wc -l </tmp/1.json
    ";
    let script = script.replace("'. ./script-head;", "'head -n 2 script >script-head; . ./script-head;");
    let Some(text) = run("camera-wrong", 2, &script) else { return };
    assert_says(&text, &["by number: 0", "by path: 0", "by name: 0"]);
    assert_says(&text, &["camera 1: not found; there are 0 (vivid-000", "2 (vivid-001", "metadata: 1"]);
    assert_says(&text, &["camera 9: not found", "unknown: 1", "no display", "--headless", "no display: 1"]);
    assert_says(&text, &["camera 0: permission denied", "group `video`", "forbidden: 1"]);
    assert_says(&text, &["camera 0: it is busy; close the program", "busy: 1"]);
    assert_says(&text, &["camera 0: it broke off with a fault of its own", "fault: 1", "640\n", "after the fault: 0"]);
    assert_says(&text, &["after the fault: 0", "30\n", "30\n"]);
}

#[test]
#[ignore = "make test-camera"]
fn a_camera_that_comes_back_goes_on_in_the_window() {
    let script = "
        fast live; echo none: $?
        modprobe vivid node_types=0x20001
        Xvfb :9 -screen 0 800x600x24 -nolisten tcp >/dev/null 2>&1 & sleep 6
        export DISPLAY=:9
        openbox >/dev/null 2>&1 & sleep 6
        fast live --json /tmp/lines.json &
        lines() { cat /tmp/lines.json 2>/dev/null | wc -l; }
        shown() { for i in $(seq 60); do xdotool search --name \"$1\" >/dev/null 2>&1 && echo shown: $1 && return; sleep 0.5; done; echo never shown: $1; }
        shown 'whycam - camera 0'
        echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind
        shown 'it was unplugged'
        ffmpeg -v error -f x11grab -video_size 800x600 -i :9 -frames:v 1 away.png
        before=$(lines)
        echo vivid.0 >/sys/bus/platform/drivers/vivid/bind
        shown 'whycam - camera 0'
        sleep 4
        [ $(lines) -gt $((before + 20)) ] && echo it goes on
        v4l2-ctl -d /dev/video0 --set-ctrl=percentage_of_dropped_buffers=100
        shown 'no frames are coming'
        v4l2-ctl -d /dev/video0 --set-ctrl=percentage_of_dropped_buffers=0
        shown 'whycam - camera 0'
        xdotool search --name whycam windowactivate --sync key q
        wait %3; echo quit: $?
    ";
    let Some(text) = run("camera-back", 0, script) else { return };
    assert_says(&text, &["no camera was found; plug one in, or try `whycam demo`", "none: 1"]);
    assert_says(
        &text,
        &["shown: whycam - camera 0", "shown: it was unplugged", "shown: whycam - camera 0", "it goes on"],
    );
    assert_says(&text, &["it goes on", "shown: no frames are coming", "shown: whycam - camera 0", "quit: 0"]);
}

/// The default model takes more than a second a frame in an emulated machine, so that many frames come meanwhile.
#[test]
#[ignore = "make test-camera"]
fn the_newest_frame_wins_and_a_full_disk_leaves_a_recording_that_plays() {
    let script = "
        v4l2-ctl -d /dev/video0 --set-ctrl=timestamp_source=1
        whycam live --headless --frames 5 --json /tmp/times.json
        mkdir /tmp/small; mount -t tmpfs -o size=300k small /tmp/small
        fast live --headless --record /tmp/small/full.mp4; echo full: $?
        ffprobe -v error -count_frames -show_entries stream=nb_read_frames -of csv=p=0 /tmp/small/full.mp4
    ";
    let Some(text) = run("camera-queue", 1, script) else { return };
    let number = |before: &str| -> f64 {
        let end = text.find(before).unwrap_or_else(|| panic!("no '{before}' in: {text}"));
        text[..end].rsplit([' ', '(']).next().unwrap().parse().unwrap()
    };
    let (age_ms, explained_ms) = (number(" ms old when shown"), 1000.0 / number(" a second)"));
    assert!(age_ms <= explained_ms + 80.0, "{age_ms} ms old where an explanation takes {explained_ms} ms: {text}");
    assert_says(&text, &["cannot write /tmp/small/full.mp4: the disk is full", "full: 1"]);
    let frames: u32 = text.trim_end().lines().last().unwrap().parse().unwrap();
    assert!(frames > 10, "{text}");
}
