//! Text as a manifest, and as the preprocessing in a model's metadata.
#![no_main]

use libfuzzer_sys::fuzz_target;
use whycam::manifest::{InputSpec, Manifest};

fuzz_target!(|text: &str| {
    let _ = Manifest::parse(text);
    let _ = InputSpec::from_json(text);
});
