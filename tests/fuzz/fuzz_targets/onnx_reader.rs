//! Bytes as a model file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use whycam::onnx::OnnxModel;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(model) = OnnxModel::from_bytes("fuzzed", bytes.to_vec()) {
        let _ = OnnxModel::from_bytes("again", model.to_bytes());
    }
});
