//! A real kernel camera (the V4L2 test driver vivid in a virtual machine), where there is one:
//! `WHYCAM_CAMERA_MACHINE`, or `shared/camera-vm/run` beside the checkout, and QEMU.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use support::{stderr, stdout};

/// The machine, or `None` with a line that says what is skipped.
fn machine() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/camera-vm/run");
    let machine = env::var_os("WHYCAM_CAMERA_MACHINE").map_or(beside, PathBuf::from);
    let qemu = Command::new("qemu-system-x86_64").arg("--version").output().is_ok();
    if machine.exists() && qemu {
        return machine.canonicalize().ok();
    }
    eprintln!("SKIPPED: no camera machine; set WHYCAM_CAMERA_MACHINE and install qemu-system-x86");
    None
}

/// What a shell script prints in the machine, its folder kept until the end of the test.
fn run(script: &str) -> Option<String> {
    let machine = machine()?;
    let folder = env::temp_dir().join(format!("whycam-camera-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let script = script.replace("whycam ", concat!(env!("CARGO_BIN_EXE_whycam"), " "));
    fs::write(folder.join("script"), script).unwrap();
    let output =
        Command::new("bash").env("TIMEOUT_S", "300").arg(machine).arg(&folder).args(["sh", "script"]).output().unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let text = stdout(&output) + &stderr(&output);
    if output.status.code() == Some(125) {
        eprintln!("SKIPPED: the camera machine does not run here: {text}");
        return None;
    }
    Some(text)
}

#[test]
fn a_camera_is_explained_whatever_state_it_was_left_in_until_it_is_unplugged() {
    let script = "
        whycam live --headless --frames 3; echo first: $?
        whycam cameras
        whycam live --headless --frames 1 --size 320x180 --mirror --json -
        v4l2-ctl -d /dev/video0 --set-fmt-video=width=1280,height=720,pixelformat=GREY --set-parm=12.5
        whycam live --headless --frames 2 --record /tmp/a.mp4; echo second: $?
        whycam live --headless --camera 9; echo third: $?
        whycam live --frames 1; echo fourth: $?
        (sleep 8; echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind) &
        whycam live --headless --record /tmp/b.mp4; echo fifth: $?
        ls /tmp/b.mp4
    ";
    let Some(text) = run(script) else { return };
    for expected in [
        "explained 3 ",
        "first: 0",
        "0  vivid",
        "1280x720 ",
        "\"width\":320,\"height\":180",
        "explained 2 ",
        "second: 0",
        "camera 9: not found",
        "third: 1",
        "no display",
        "fourth: 1",
        "it was unplugged",
        "fifth: 1",
        "/tmp/b.mp4",
    ] {
        assert!(text.contains(expected), "no '{expected}' in: {text}");
    }
}
