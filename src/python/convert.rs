//! From Python's values to whycam's.

use std::path::PathBuf;

use image::RgbImage;
use numpy::{PyReadonlyArray3, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::model::ModelSource;
use crate::source::read_photo;

/// A built-in model's name, the path of a file or folder, or the bytes of a file.
pub fn model_source(model: &Bound<PyAny>) -> PyResult<ModelSource> {
    if let Ok(bytes) = model.cast::<PyBytes>() {
        return Ok(ModelSource::Bytes(bytes.as_bytes().into()));
    }
    if let Ok(name) = model.cast::<PyString>() {
        return Ok(name.to_str()?.into());
    }
    let wrong = |_| PyTypeError::new_err("model: give a built-in model's name, a path, or the bytes of an ONNX file");
    model.extract::<PathBuf>().map(ModelSource::from).map_err(wrong)
}

/// One name, or a list of names; numbers are names of classes too.
pub fn names(value: &Bound<PyAny>) -> PyResult<Vec<String>> {
    if value.is_instance_of::<PyString>() || value.extract::<i64>().is_ok() {
        return Ok(vec![value.str()?.to_string()]);
    }
    value.try_iter()?.map(|item| Ok(item?.str()?.to_string())).collect()
}

/// A picture: a path, an array uint8 `[height,width,3]` in RGB, or a Pillow image.
pub fn picture(value: &Bound<PyAny>) -> PyResult<RgbImage> {
    if let Ok(path) = value.extract::<PathBuf>() {
        return Ok(value.py().detach(|| read_photo(&path))?);
    }
    if let Ok(mode) = value.getattr("mode").and_then(|mode| mode.extract::<String>())
        && (mode.starts_with('I') || mode == "F")
    {
        let problem =
            format!("picture: Pillow cuts the numbers of mode '{mode}' off at 255; give the path of the file");
        return Err(PyTypeError::new_err(problem));
    }
    let value = if value.hasattr("convert")? { &value.call_method1("convert", ("RGB",))? } else { value };
    let array = value.py().import("numpy")?.call_method1("asarray", (value,))?;
    let wrong = || {
        let given = array.cast::<PyUntypedArray>().map(|array| format!("{} {:?}", array.dtype(), array.shape()));
        let given = given.unwrap_or_default();
        PyTypeError::new_err(format!("picture: give a path, or an array uint8 [height,width,3] in RGB, not {given}"))
    };
    let pixels: PyReadonlyArray3<u8> = array.extract().map_err(|_| wrong())?;
    let pixels = pixels.as_array();
    let (height, width, channels) = pixels.dim();
    if channels != 3 {
        return Err(wrong());
    }
    let bytes = pixels.iter().copied().collect();
    let picture = RgbImage::from_raw(width as u32, height as u32, bytes).filter(|_| height * width > 0);
    picture.ok_or_else(|| PyValueError::new_err("picture: it has no pixels"))
}
