//! Bytes as edits of nets that are differentiated.
#![no_main]

#[path = "../../support/edits.rs"]
mod edits;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use whycam::onnx::{OnnxModel, Tensors};

fuzz_target!(|script: &[u8]| {
    static NETS: OnceLock<Vec<(OnnxModel, Tensors)>> = OnceLock::new();
    edits::differentiate_edited(NETS.get_or_init(edits::nets), script);
});
