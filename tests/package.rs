//! The Python package: a wheel, installed into a fresh virtual environment, against the program.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{Folder, reference, tool};

mod long {
    use super::*;

    #[test]
    #[ignore = "builds the Python package; make test-wheel runs it"]
    fn the_wheel_gives_what_the_program_writes() {
        let folder = Folder::new("package");
        let project = env!("CARGO_MANIFEST_DIR");
        let wheels = folder.file("wheels");
        let wheels_here = format!("WHEELS={wheels}");
        tool("make", &["--no-print-directory", "-C", project, "wheel", "PROFILE=dev", &wheels_here]);
        let wheel = fs::read_dir(&wheels).unwrap().next().unwrap().unwrap().path();
        tool("python3", &["-m", "venv", &folder.file("venv")]);
        let python = folder.file("venv/bin/python");
        let wheel = wheel.to_str().unwrap();
        tool(&python, &["-m", "pip", "install", "--quiet", wheel, "pillow"]);
        let tests = Command::new(&python)
            .arg(Path::new(project).join("tests/package/test_whycam.py"))
            .env("WHYCAM_PROGRAM", env!("CARGO_BIN_EXE_whycam"))
            .env("WHYCAM_REFERENCE", reference(""))
            .current_dir(&folder.0)
            .output()
            .unwrap();
        assert!(tests.status.success(), "{}", String::from_utf8_lossy(&tests.stderr));
    }
}
