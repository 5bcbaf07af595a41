//! Bytes as a tensor in a file.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("whycam-fuzz-{}.npy", std::process::id()));
    std::fs::write(&path, bytes).expect("a temporary file");
    if let Ok(mut source) = whycam::source::open(&path.display().to_string(), 1) {
        let _ = source.next_frame();
    }
});
