//! Real kernel cameras (the V4L2 test driver vivid) in a virtual machine, `tests/camera/machine`. `make test-camera` runs
//! all of these tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::process::Command;

use support::{Folder, net, stderr, stdout};

/// What a shell script prints in the machine. There `whycam` is the program under test; `fast` runs it with a net that an
/// emulated processor runs as fast as a camera gives frames; `until_lines FILE N` waits until a file has N lines.
fn run(name: &str, cameras: u32, script: &str) -> String {
    let folder = Folder::new(name);
    let whycam = env!("CARGO_BIN_EXE_whycam");
    let head = format!(
        "whycam() {{ {whycam} \"$@\"; }}\nfast() {{ whycam \"$@\" --model {} --preset imagenet; }}\n\
         lines() {{ cat \"$1\" 2>/dev/null | wc -l; }}\n\
         until_lines() {{ until [ \"$(lines \"$1\")\" -ge \"$2\" ]; do sleep 0.2; done; }}\n",
        net("resnet.legacy")
    );
    fs::write(folder.file("script"), head + script).unwrap();
    let machine = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/camera/machine");
    let output = Command::new(machine).arg(&folder.0).arg("script").env("CAMERAS", cameras.to_string()).output();
    let output = output.unwrap();
    let text = stdout(&output) + &stderr(&output);
    assert!(
        output.status.code() != Some(125),
        "the cameras' machine does not run here; run `make setup-camera`: {text}"
    );
    assert!(output.status.success(), "{text}");
    text
}

/// Each of the words, in this order.
fn assert_says(text: &str, words: &[&str]) {
    let mut rest = text;
    for word in words {
        let at = rest.find(word).unwrap_or_else(|| panic!("no '{word}' (in this order) in: {text}"));
        rest = &rest[at + word.len()..];
    }
}

mod needs_qemu {
    use super::*;

    #[test]
    #[ignore = "needs a virtual machine; make test-camera installs it and runs this"]
    fn a_camera_is_explained_whatever_state_it_was_left_in_until_it_is_unplugged() {
        let script = "
            whycam live --headless --frames 2; echo default: $?
            whycam cameras
            fast live --headless --frames 1 --size 320x180 --mirror --json -
            v4l2-ctl -d /dev/video0 --set-fmt-video=width=1280,height=720,pixelformat=GREY --set-parm=12.5
            fast live --headless --frames 2; echo left by another: $?
            fast live --headless --frames 1 --size 1280x720 --fps 12.5 --json /tmp/slow.json; echo fractional: $?
            v4l2-ctl -d /dev/video0 --get-fmt-video --get-parm
            (until_lines /tmp/b.json 10; echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind) &
            fast live --headless --record /tmp/b.mp4 --json /tmp/b.json; echo unplugged: $?
            ffprobe -v error -show_entries stream=width -of csv=p=0 /tmp/b.mp4
        ";
        let text = run("camera-left", 1, script);
        let of_default =
            ["explained 2 ", "default: 0", "0  vivid", "640x480 ", "25 15 12.5 10 5 4 2 1 fps", "1280x720 "];
        assert_says(&text, &of_default);
        assert_says(&text, &["\"width\":320,\"height\":180", "explained 2 ", "left by another: 0"]);
        assert_says(&text, &["left by another: 0", "fractional: 0", "1280/720", "12.500 (25/2)"]);
        assert_says(&text, &["camera 0: it was unplugged", "unplugged: 1", "640\n"]);
    }
}

mod long {
    use super::*;

    /// vivid gives the picture of its output device back as that of a camera.
    #[test]
    #[ignore = "takes minutes; make test-camera runs it"]
    fn another_program_sees_the_pictures_of_a_virtual_camera() {
        let script = "
            modprobe vivid n_devs=1 node_types=0x101 num_inputs=1 input_types=3 num_outputs=1 output_types=1
            v4l2-ctl -d /dev/video0 --set-ctrl=loop_video=1,osd_text_mode=2
            ffmpeg -v error -f lavfi -i color=c=0x008000:s=640x360:r=10:d=2 -pix_fmt yuv420p /tmp/green.mp4
            fast live --input /tmp/green.mp4 --loop --headless --alpha 0 --seconds 40 --camera-out /dev/video1 2>/tmp/said &
            until grep -q 'sending to' /tmp/said; do sleep 0.2; done
            sleep 8
            v4l2-ctl -d /dev/video0 --set-fmt-video=width=640,height=360,pixelformat=YUYV
            v4l2-ctl -d /dev/video0 --stream-mmap --stream-count=5 --stream-to=/tmp/seen.yuv >/dev/null 2>&1
            ffmpeg -v error -f rawvideo -pix_fmt yuyv422 -s 640x360 -i /tmp/seen.yuv -vf crop=640:180:0:0,scale=1:1:flags=area \
                -f rawvideo -pix_fmt rgb24 - | tail -c 3 | od -An -tu1
            wait; cat /tmp/said
            fast live --input /tmp/green.mp4 --headless --camera-out /dev/video0; echo no output: $?
        ";
        let text = run("camera-out", 0, script);
        let numbers = text.lines().next().unwrap_or_default().split_whitespace();
        let [red, green, blue] = numbers.map(|n| n.parse::<u8>().unwrap()).collect::<Vec<_>>()[..] else {
            panic!("{text}")
        };
        assert!(red < 12 && green.abs_diff(128) < 12 && blue < 12, "{text}");
        assert_says(&text, &["sending to /dev/video1", "explained", "v4l2loopback", "no output: 1"]);
        assert!(!text.contains("trying again"), "{text}");
    }

    #[test]
    #[ignore = "takes minutes; make test-camera runs it"]
    fn each_camera_failure_is_named_with_its_remedy() {
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
            v4l2-ctl -d /dev/video0 --stream-mmap --stream-count=300 >/tmp/streaming 2>&1 &
            until [ -s /tmp/streaming ]; do sleep 0.2; done
            fast live --headless --frames 1; echo busy: $?
            wait
            (until_lines /tmp/fault.json 10; v4l2-ctl -d /dev/video0 --set-ctrl=inject_fatal_streaming_error=1) &
            fast live --headless --record /tmp/fault.mkv --json /tmp/fault.json; echo fault: $?
            ffprobe -v error -show_entries stream=width -of csv=p=0 /tmp/fault.mkv
            fast live --headless --frames 2; echo after the fault: $?
            (until_lines /tmp/stall.json 5; v4l2-ctl -d /dev/video0 --set-ctrl=percentage_of_dropped_buffers=100) &
            fast live --headless --json /tmp/stall.json; echo stalled: $?
            v4l2-ctl -d /dev/video0 --set-ctrl=percentage_of_dropped_buffers=0
            for each in 0 1; do fast live --headless --frames 30 --camera $((2 * each)) --json /tmp/$each.json & done; wait
            wc -l </tmp/0.json; wc -l </tmp/1.json
        ";
        let script = script.replace("'. ./script-head;", "'head -n 4 script >script-head; . ./script-head;");
        let text = run("camera-wrong", 2, &script);
        assert_says(&text, &["by number: 0", "by path: 0", "by name: 0"]);
        assert_says(&text, &["camera 1: not found; there are 0 (vivid-000", "2 (vivid-001", "metadata: 1"]);
        assert_says(&text, &["camera 9: not found", "unknown: 1", "no display", "--headless", "no display: 1"]);
        assert_says(&text, &["camera 0: permission denied", "group `video`", "forbidden: 1"]);
        assert_says(&text, &["camera 0: it is busy; close the program", "busy: 1"]);
        assert_says(
            &text,
            &[
                "camera 0: it stopped with a hardware fault; unplug it and plug it in again",
                "fault: 1",
                "640\n",
                "after the fault: 0",
            ],
        );
        assert_says(
            &text,
            &["after the fault: 0", "camera 0: it has sent no picture for 10 s", "stalled: 1", "30\n", "30\n"],
        );
    }

    #[test]
    #[ignore = "takes minutes; make test-camera runs it"]
    fn a_camera_that_comes_back_is_shown_again_in_the_window() {
        let script = "
            fast live; echo none: $?
            modprobe vivid node_types=0x20001
            Xvfb :9 -screen 0 800x600x24 -nolisten tcp >/dev/null 2>&1 &
            until [ -S /tmp/.X11-unix/X9 ]; do sleep 0.2; done
            export DISPLAY=:9
            openbox >/dev/null 2>&1 &
            until xdotool get_num_desktops >/dev/null 2>&1; do sleep 0.2; done
            fast live --json /tmp/lines.json &
            shown() { for i in $(seq 60); do xdotool search --name \"$1\" >/dev/null 2>&1 && echo shown: $1 && return; sleep 0.5; done; echo never shown: $1; }
            shown 'whycam - camera 0'
            echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind
            shown 'it was unplugged'
            ffmpeg -v error -f x11grab -video_size 800x600 -i :9 -frames:v 1 away.png
            before=$(lines /tmp/lines.json)
            echo vivid.0 >/sys/bus/platform/drivers/vivid/bind
            shown 'whycam - camera 0'
            until_lines /tmp/lines.json $((before + 20)) && echo it goes on
            v4l2-ctl -d /dev/video0 --set-ctrl=percentage_of_dropped_buffers=100
            shown 'no frames are coming'
            v4l2-ctl -d /dev/video0 --set-ctrl=percentage_of_dropped_buffers=0
            shown 'whycam - camera 0'
            xdotool search --name whycam windowactivate --sync key q
            wait %3; echo quit: $?
        ";
        let text = run("camera-back", 0, script);
        assert_says(&text, &["no camera was found; plug one in, or try `whycam demo`", "none: 1"]);
        assert_says(
            &text,
            &["shown: whycam - camera 0", "shown: it was unplugged", "shown: whycam - camera 0", "it goes on"],
        );
        assert_says(&text, &["it goes on", "shown: no frames are coming", "shown: whycam - camera 0", "quit: 0"]);
    }

    /// The default model takes more than a second a frame in an emulated machine, while the camera gives many frames.
    #[test]
    #[ignore = "takes minutes; make test-camera runs it"]
    fn the_newest_frame_wins_and_a_full_disk_leaves_a_recording_that_plays() {
        let script = "
            v4l2-ctl -d /dev/video0 --set-ctrl=timestamp_source=1
            whycam live --headless --frames 5 --json /tmp/times.json
            mkdir /tmp/small; mount -t tmpfs -o size=300k small /tmp/small
            fast live --headless --record /tmp/small/full.mp4; echo full: $?
            ffprobe -v error -count_frames -show_entries stream=nb_read_frames -of csv=p=0 /tmp/small/full.mp4
        ";
        let text = run("camera-queue", 1, script);
        let number = |before: &str| -> f64 {
            let end = text.find(before).unwrap_or_else(|| panic!("no '{before}' in: {text}"));
            text[..end].rsplit([' ', '(']).next().unwrap().parse().unwrap()
        };
        let explained_ms = 1000.0 * number(" s (") / number(" + dropped");
        let age_ms = number(" ms old when shown");
        assert!(age_ms <= explained_ms + 80.0, "{age_ms} ms old where an explanation takes {explained_ms} ms: {text}");
        assert_says(&text, &["cannot write /tmp/small/full.mp4: the disk is full", "full: 1"]);
        let frames: u32 = text.trim_end().lines().last().unwrap().parse().unwrap();
        assert!(frames > 10, "{text}");
    }
}
