//! Bytes as a tensor in a file.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("whycam-fuzz-{}.npy", std::process::id()));
    std::fs::write(&path, bytes).expect("a temporary file");
    if let Ok(mut source) = whycam::source::open(&whycam::source::Input::file(&path), 1, &whycam::plumbing::Report::silent()) {
        let _ = source.next_frame();
    }
});
