//! Text as a manifest, and as each entry of the metadata of an augmented model.
#![no_main]

#[path = "../../support/edits.rs"]
mod edits;

use libfuzzer_sys::fuzz_target;
use whycam::model::Manifest;

fuzz_target!(|text: &str| {
    let _ = Manifest::parse(text);
    edits::read_damaged_contracts(text);
});
