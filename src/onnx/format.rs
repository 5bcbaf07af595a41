//! Recognising what is not an ONNX file, so that an error can name it.

/// How files of other formats begin: offset, bytes, and what to do.
const OTHERS: &[(usize, &[u8], &str)] = &[
    (
        4,
        b"ORTM",
        "it is in ONNX Runtime's own .ort format, which drops what a gradient needs; give the .onnx file that it was \
         converted from",
    ),
    (
        4,
        b"TFL3",
        "it is a TensorFlow Lite model; convert it with `python -m tf2onnx.convert --tflite FILE --output OUT.onnx`",
    ),
    (
        0,
        b"\x89HDF\r\n\x1a\n",
        "it is a Keras model (HDF5); convert it with tf2onnx, or `model.export(…, format=\"onnx\")`",
    ),
    (
        0,
        b"PK\x03\x04",
        "it is a zip archive, such as a PyTorch or Keras file; export the model with torch.onnx.export or tf2onnx",
    ),
    (0, b"\x80\x02", "it is a Python pickle, such as an old PyTorch file; export the model with torch.onnx.export"),
    (0, b"version https://git-lfs", "it is a pointer of Git LFS, not the model; fetch it with `git lfs pull`"),
    (0, b"<!DOCTYPE", "it is a web page; fetch the model itself"),
    (0, b"<html", "it is a web page; fetch the model itself"),
    (0, b"<?xml", "it is XML, such as an OpenVINO model; export the model as ONNX"),
    (0, b"<net", "it is an OpenVINO model; export the model as ONNX"),
    (0, b"ftrt", "it is a TensorRT engine; give the .onnx file that it was built from"),
    (0, b"\x1f\x8b", "it is compressed (gzip); unpack it first"),
];

/// What a file is that is no ONNX model, and what to do about it.
pub fn other_format(bytes: &[u8]) -> Option<&'static str> {
    let safetensors = bytes.get(8..10) == Some(b"{\"") && bytes.get(4..8) == Some(&[0; 4]);
    if safetensors {
        return Some("it is a safetensors file, which holds weights without a graph; export the model as ONNX");
    }
    let found = OTHERS.iter().find(|(at, mark, _)| bytes.get(*at..).is_some_and(|rest| rest.starts_with(mark)));
    found.map(|(_, _, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ort_file_is_named() {
        assert!(other_format(b"\x18\0\0\0ORTM rest").is_some_and(|what| what.contains(".ort")));
        assert!(other_format(b"\x08\x08\x12\x07pytorch").is_none() && other_format(b"").is_none());
    }
}
