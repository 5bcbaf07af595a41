//! What goes wrong around the program: a full disk, a folder that is read-only or goes away, a library that is none, a
//! second program at the same output, an end without warning.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use support::{Folder, assert_ok, command, film, frame_times, picture, stderr, stdout, whycam};

/// Files of a folder that are not what a user asked for.
fn left_over(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with('.') || name.contains(".part")).collect()
}

/// Runs the program where `place` is a file system of its own: 300 kB of memory, then with `read_only` no more to be
/// written. Lists what lies there at the end on standard output.
fn on_a_small_disk(place: &str, read_only: bool, arguments: &[&str]) -> Option<Output> {
    let quoted: Vec<String> = arguments.iter().map(|a| format!("'{a}'")).collect();
    let remount = if read_only { format!("mount -o remount,ro {place} && ") } else { String::new() };
    let (program, arguments) = (env!("CARGO_BIN_EXE_whycam"), quoted.join(" "));
    let script = format!(
        "mount -t tmpfs -o size=300k none {place} || exit 99; {remount}{program} {arguments}; status=$?; ls -A {place}; exit $status"
    );
    let output = Command::new("unshare").args(["-rm", "sh", "-c", &script]).env_remove("DISPLAY").output().ok()?;
    if output.status.code() == Some(99) || stderr(&output).starts_with("unshare:") {
        eprintln!("SKIPPED: this system gives a user no file system of their own: {}", stderr(&output));
        return None;
    }
    Some(output)
}

#[test]
fn a_full_disk_is_named_and_nothing_half_is_left() {
    let folder = Folder::new("full");
    let place = folder.file("small");
    fs::create_dir(&place).unwrap();
    let clip = film(&folder, "in.mp4", &[]);
    let photo = picture(&folder, "photo.png", 1200, 900);
    for (input, output) in [(&clip, "out.avi"), (&clip, "out.gif"), (&photo, "out.png")] {
        let out = format!("{place}/{output}");
        let mut arguments = vec!["explain", input, "-o", &out];
        if output == "out.avi" {
            arguments.extend(["--encoder", "rawvideo"]);
        }
        let Some(run) = on_a_small_disk(&place, false, &arguments) else { return };
        assert_eq!(run.status.code(), Some(1), "{output}: {}", stderr(&run));
        assert!(stderr(&run).contains("disk is full") && stderr(&run).contains(output), "{output}: {}", stderr(&run));
        assert_eq!(stdout(&run), "", "{output}: something is left");
    }
    let json = whycam(&["explain", &photo, "--json", "/dev/full"]);
    assert_eq!(json.status.code(), Some(1));
    assert!(stderr(&json).contains("/dev/full: the disk is full"), "{}", stderr(&json));
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = Folder::new("read-only");
    let place = folder.file("small");
    fs::create_dir(&place).unwrap();
    let photo = picture(&folder, "photo.png", 64, 64);
    for arguments in [
        &["-o", &format!("{place}/out.png")][..],
        &["--json", &format!("{place}/out.json")],
        &["--maps", &format!("{place}/maps")],
    ] {
        let Some(run) = on_a_small_disk(&place, true, &[&["explain", &photo], arguments].concat()) else { return };
        assert_eq!(run.status.code(), Some(1), "{}", stderr(&run));
        assert!(stderr(&run).contains(&place) && stderr(&run).contains("Read-only"), "{}", stderr(&run));
    }
}

#[test]
fn an_output_folder_that_goes_away_is_an_error() {
    let folder = Folder::new("gone");
    let place = folder.file("out");
    fs::create_dir(&place).unwrap();
    let clip = film(&folder, "in.mp4", &[]);
    let mut run = command(&["explain", &clip, &clip, &clip, "-o", &format!("{place}/"), "--threads", "1"]);
    let run = run.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while left_over(Path::new(&place)).is_empty() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    fs::remove_dir_all(&place).unwrap();
    let run = run.wait_with_output().unwrap();
    assert_eq!(run.status.code(), Some(1), "{}", stderr(&run));
    assert!(stderr(&run).contains("no such file or folder"), "{}", stderr(&run));
}

#[test]
fn two_programs_at_one_output_lose_nothing() {
    let folder = Folder::new("two");
    let clip = film(&folder, "in.mp4", &[]);
    let out = folder.file("out.mp4");
    let start = |force: &[&str]| {
        let mut run = command(&[&["explain", &clip, "-o", &out, "--quiet"], force].concat());
        run.stderr(Stdio::piped()).spawn().unwrap()
    };
    // Neither sees the other's output at its start, so one is the first and the other says so.
    let ends: Vec<Output> = [start(&[]), start(&[])].map(|run| run.wait_with_output().unwrap()).into();
    let codes: Vec<_> = ends.iter().map(|run| run.status.code()).collect();
    assert!(codes.contains(&Some(0)) && codes.contains(&Some(1)), "{codes:?}");
    assert!(ends.iter().any(|run| stderr(run).contains("exists already")));
    assert_eq!(frame_times(&out).len(), 50);
    // Both may overwrite: the last one's film lies there, and it is whole.
    let ends = [start(&["--force"]), start(&["--force"])].map(|run| run.wait_with_output().unwrap());
    ends.iter().for_each(assert_ok);
    assert_eq!(frame_times(&out).len(), 50);
    assert_eq!(left_over(&folder.0), Vec::<String>::new());
}

#[test]
fn programs_that_start_at_once_keep_one_model_whole_and_a_damaged_one_is_made_anew() {
    let folder = Folder::new("kept");
    let photo = picture(&folder, "photo.png", 64, 64);
    let cache = folder.file("cache");
    let run = |kept_in: &str| {
        let mut run = command(&["explain", &photo, "--json", "-", "--quiet"]);
        run.env("XDG_CACHE_HOME", kept_in).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let end = |run: std::process::Child| {
        let output = run.wait_with_output().unwrap();
        assert_ok(&output);
        stdout(&output)
    };
    let fresh = end(run("/dev/null"));
    let at_once = [run(&cache), run(&cache), run(&cache)];
    at_once.map(end).iter().for_each(|told| assert_eq!(*told, fresh));
    let place = Path::new(&cache).join("whycam/models");
    assert_eq!(left_over(&place), Vec::<String>::new());
    let kept = || fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path());
    // The prepared model, and what ONNX Runtime made of it.
    let onnx_runtime = whycam::session::runtime().unwrap().slower.is_none();
    assert_eq!(kept().count(), 1 + usize::from(onnx_runtime));
    for file in kept() {
        let whole = fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 0xff;
        for damaged in [&whole[..0], &whole[..whole.len() / 2], &whole[whole.len() / 2..], &flipped] {
            fs::write(&file, damaged).unwrap();
            assert_eq!(end(run(&cache)), fresh);
            assert_eq!(end(run(&cache)), fresh);
            assert_eq!(fs::metadata(&file).unwrap().len(), whole.len() as u64, "{} was not made anew", file.display());
        }
    }
}

#[test]
fn an_end_without_warning_leaves_what_was_done_and_the_next_run_sweeps_up() {
    let folder = Folder::new("killed");
    let clip = film(&folder, "in.mp4", &["-t", "2"]);
    let photo = picture(&folder, "photo.png", 64, 64);
    let out = folder.file("out");
    fs::create_dir(&out).unwrap();
    let place = format!("{out}/");
    let mut run = command(&["explain", &photo, &clip, "-o", &place, "--threads", "1", "--quiet"]).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !left_over(Path::new(&out)).iter().any(|name| name.ends_with("mp4")) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(Path::new(&out).join("photo.whycam.png").exists(), "what was done is there");
    assert!(!Path::new(&out).join("in.whycam.mp4").exists(), "what was not does not look as if it were");
    assert_ok(&whycam(&["explain", &photo, &clip, "-o", &place, "--force", "--quiet"]));
    assert_eq!(left_over(Path::new(&out)), Vec::<String>::new());
    assert_eq!(frame_times(&format!("{out}/in.whycam.mp4")).len(), 50);
}

fn assert_named_and_replaced(library: &str, photo: &str) {
    let mut run = command(&["explain", photo, "--json", "-"]);
    let run = run.env("ORT_DYLIB_PATH", library).output().unwrap();
    assert_ok(&run);
    let said = stderr(&run);
    assert!(said.contains("ONNX Runtime: ") && said.contains("embedded tract runs"), "{library}: {said}");
    assert_eq!(stdout(&run).lines().count(), 1);
}

#[test]
fn a_library_that_is_none_is_named_and_the_embedded_runtime_runs() {
    let folder = Folder::new("library");
    let photo = picture(&folder, "photo.png", 64, 64);
    let data = std::env::var_os("XDG_DATA_HOME").map(std::path::PathBuf::from);
    let data = data.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".local/share"))).unwrap();
    let whole = fs::read(data.join("whycam/libonnxruntime.so"));
    let whole = whole.unwrap_or_else(|e| panic!("ONNX Runtime's library: {e}; run `make setup`"));
    let mut other_machine = whole.clone();
    // e_machine of the ELF header: that of a machine which no one has.
    other_machine[18..20].copy_from_slice(&[0x08, 0x00]);
    let broken: [(&str, Vec<u8>); 5] = [
        ("empty.so", vec![]),
        ("text.so", b"this is no library".to_vec()),
        ("cut.so", whole[..whole.len() / 2].to_vec()),
        ("head.so", whole[..4096].to_vec()),
        ("other-machine.so", other_machine),
    ];
    for (name, bytes) in broken {
        let library = folder.file(name);
        fs::write(&library, bytes).unwrap();
        assert_named_and_replaced(&library, &photo);
    }
    // A library, but not this one.
    let maths = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6"];
    maths.into_iter().filter(|path| Path::new(path).exists()).for_each(|path| assert_named_and_replaced(path, &photo));
}
