//! Failures around the program: a full disk, a folder that is read-only or removed, a broken library, a second program with
//! the same output, a killed run.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

use crate::support::{Folder, assert_ok, command, film, frame_times, picture, stderr, stdout, wait_until, whycam};

/// The temporary files in a folder.
fn left_over(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with('.') || name.contains(".part")).collect()
}

mod needs_user_namespaces {
    use std::process::Command;

    use super::*;

    /// Runs the program where `disk` is a separate file system of 300 kB, and read-only if `read_only` is set. Standard
    /// output lists what it holds at the end.
    fn on_a_small_disk(disk: &str, read_only: bool, arguments: &[&str]) -> Output {
        let quoted: Vec<String> = arguments.iter().map(|a| format!("'{a}'")).collect();
        let remount = if read_only { format!("mount -o remount,ro {disk} && ") } else { String::new() };
        let (program, arguments) = (env!("CARGO_BIN_EXE_whycam"), quoted.join(" "));
        let script = format!(
            "mount -t tmpfs -o size=300k none {disk} || exit 99; {remount}{program} {arguments}; status=$?; ls -A {disk}; exit $status"
        );
        let output = Command::new("unshare").args(["-rm", "sh", "-c", &script]).env_remove("DISPLAY").output();
        let output = output.unwrap_or_else(|e| panic!("unshare: {e}; install util-linux"));
        let mounted = output.status.code() != Some(99) && !stderr(&output).starts_with("unshare:");
        assert!(mounted, "allow users to mount file systems (unshare -rm): {}", stderr(&output));
        output
    }

    #[test]
    #[ignore = "mounts a file system as a user (unshare -rm); make test runs it where that is allowed"]
    fn a_full_disk_is_named_and_no_part_of_a_file_is_left() {
        let folder = Folder::new("full");
        let disk = folder.file("small");
        fs::create_dir(&disk).unwrap();
        let clip = film(&folder, "in.mp4", &[]);
        let photo = picture(&folder, "photo.png", 1200, 900);
        for (input, output) in [(&clip, "out.avi"), (&clip, "out.gif"), (&photo, "out.png")] {
            let out = format!("{disk}/{output}");
            let mut arguments = vec!["explain", input, "-o", &out];
            if output == "out.avi" {
                arguments.extend(["--encoder", "rawvideo"]);
            }
            let run = on_a_small_disk(&disk, false, &arguments);
            let text = stderr(&run);
            assert_eq!(run.status.code(), Some(1), "{output}: {text}");
            assert!(text.contains("disk is full") && text.contains(output), "{output}: {text}");
            assert_eq!(stdout(&run), "", "{output}: something is left");
        }
    }

    #[test]
    #[ignore = "mounts a file system as a user (unshare -rm); make test runs it where that is allowed"]
    fn a_folder_that_cannot_be_written_is_named() {
        let folder = Folder::new("read-only");
        let disk = folder.file("small");
        fs::create_dir(&disk).unwrap();
        let photo = picture(&folder, "photo.png", 64, 64);
        for arguments in [
            &["-o", &format!("{disk}/out.png")][..],
            &["--json", &format!("{disk}/out.json")],
            &["--maps", &format!("{disk}/maps")],
        ] {
            let run = on_a_small_disk(&disk, true, &[&["explain", &photo], arguments].concat());
            assert_eq!(run.status.code(), Some(1), "{}", stderr(&run));
            assert!(stderr(&run).contains(&disk) && stderr(&run).contains("Read-only"), "{}", stderr(&run));
        }
    }
}

#[test]
fn json_on_a_full_disk_is_named() {
    let folder = Folder::new("full-json");
    let photo = picture(&folder, "photo.png", 1200, 900);
    let json = whycam(&["explain", &photo, "--json", "/dev/full"]);
    assert_eq!(json.status.code(), Some(1));
    assert!(stderr(&json).contains("/dev/full: the disk is full"), "{}", stderr(&json));
}

#[test]
fn an_output_folder_that_is_removed_is_an_error() {
    let folder = Folder::new("gone");
    let folder_out = folder.file("out");
    fs::create_dir(&folder_out).unwrap();
    let clip = film(&folder, "in.mp4", &[]);
    let mut run = command(&["explain", &clip, &clip, &clip, "-o", &format!("{folder_out}/"), "--threads", "1"]);
    let run = run.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("a film is begun", || !left_over(Path::new(&folder_out)).is_empty());
    fs::remove_dir_all(&folder_out).unwrap();
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
    // Neither sees the other's output when it starts, so the second one to finish reports it.
    let ends: Vec<Output> = [start(&[]), start(&[])].map(|run| run.wait_with_output().unwrap()).into();
    let codes: Vec<_> = ends.iter().map(|run| run.status.code()).collect();
    assert!(codes.contains(&Some(0)) && codes.contains(&Some(1)), "{codes:?}");
    assert!(ends.iter().any(|run| stderr(run).contains("exists already")));
    assert_eq!(frame_times(&out).len(), 50);
    // If both may overwrite, the film of the last one stays, and it is whole.
    let ends = [start(&["--force"]), start(&["--force"])].map(|run| run.wait_with_output().unwrap());
    ends.iter().for_each(assert_ok);
    assert_eq!(frame_times(&out).len(), 50);
    assert_eq!(left_over(&folder.0), Vec::<String>::new());
}

#[test]
fn programs_that_start_at_once_cache_one_whole_model_and_a_damaged_one_is_replaced() {
    let folder = Folder::new("kept");
    let photo = picture(&folder, "photo.png", 64, 64);
    let cache = folder.file("cache");
    let run = |cache: &str| {
        let mut run = command(&["explain", &photo, "--json", "-", "--quiet"]);
        run.env("XDG_CACHE_HOME", cache).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let end = |run: std::process::Child| {
        let output = run.wait_with_output().unwrap();
        assert_ok(&output);
        stdout(&output)
    };
    let fresh = end(run("/dev/null"));
    let at_once = [run(&cache), run(&cache), run(&cache)];
    at_once.map(end).iter().for_each(|line| assert_eq!(*line, fresh));
    let models = Path::new(&cache).join("whycam/models");
    assert_eq!(left_over(&models), Vec::<String>::new());
    let cached = || fs::read_dir(&models).unwrap().map(|entry| entry.unwrap().path());
    // The augmented model, and its graph as ONNX Runtime optimised it.
    let onnx_runtime = whycam::session::runtime().unwrap().slower.is_none();
    assert_eq!(cached().count(), 1 + usize::from(onnx_runtime));
    for file in cached() {
        let whole = fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 0xff;
        for damaged in [&whole[..0], &whole[..whole.len() / 2], &whole[whole.len() / 2..], &flipped] {
            fs::write(&file, damaged).unwrap();
            assert_eq!(end(run(&cache)), fresh);
            assert_eq!(end(run(&cache)), fresh);
            // ONNX Runtime does not write a graph with the same bytes each time.
            let replaced = fs::read(&file).unwrap();
            let whole_again = replaced.len().abs_diff(whole.len()) < 1000 && replaced != damaged;
            assert!(whole_again, "{} was not replaced", file.display());
        }
    }
}

#[test]
fn a_killed_run_leaves_what_is_complete_and_the_next_run_removes_the_rest() {
    let folder = Folder::new("killed");
    let clip = film(&folder, "in.mp4", &["-t", "2"]);
    let photo = picture(&folder, "photo.png", 64, 64);
    let out = folder.file("out");
    fs::create_dir(&out).unwrap();
    let into = format!("{out}/");
    let mut run = command(&["explain", &photo, &clip, "-o", &into, "--threads", "1", "--quiet"]).spawn().unwrap();
    wait_until("the film is begun", || left_over(Path::new(&out)).iter().any(|name| name.ends_with("mp4")));
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(Path::new(&out).join("photo.whycam.png").exists(), "the finished picture is there");
    assert!(!Path::new(&out).join("in.whycam.mp4").exists(), "the unfinished film does not have its final name");
    assert_ok(&whycam(&["explain", &photo, &clip, "-o", &into, "--force", "--quiet"]));
    assert_eq!(left_over(Path::new(&out)), Vec::<String>::new());
    assert_eq!(frame_times(&format!("{out}/in.whycam.mp4")).len(), 50);
}

/// A build with tract runs without the library, any other says where to get it.
fn assert_named(library: &str, photo: &str) {
    let mut run = command(&["explain", photo, "--json", "-"]);
    let run = run.env("ORT_DYLIB_PATH", library).output().unwrap();
    let text = stderr(&run);
    let (then, lines) = if cfg!(feature = "tract") { ("embedded tract runs", 1) } else { ("its feature `tract`", 0) };
    assert!(text.contains("ONNX Runtime: ") && text.contains(then), "{library}: {text}");
    assert_eq!((run.status.success(), stdout(&run).lines().count()), (lines == 1, lines), "{library}: {text}");
}

#[test]
fn a_broken_library_is_named() {
    let folder = Folder::new("library");
    let photo = picture(&folder, "photo.png", 64, 64);
    let data = std::env::var_os("XDG_DATA_HOME").map(std::path::PathBuf::from);
    let data = data.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".local/share"))).unwrap();
    let whole = fs::read(data.join("whycam/libonnxruntime.so"));
    let whole = whole.unwrap_or_else(|e| panic!("ONNX Runtime's library: {e}; run `make setup`"));
    let mut other_machine = whole.clone();
    // e_machine in the ELF header, the number of another kind of processor.
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
        assert_named(&library, &photo);
    }
    // A library, but another one.
    let maths = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6"];
    maths.into_iter().filter(|path| Path::new(path).exists()).for_each(|path| assert_named(path, &photo));
}
