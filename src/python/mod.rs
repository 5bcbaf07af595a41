//! The Python package: `whycam.Explainer`, `whycam.prepare` and `whycam.differentiate`, over the same code as the program.
//! This room sits beside `cli/`; docs/python.md is the guide for users.

mod convert;
mod explainer;
mod explanation;
mod options;

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyKeyboardInterrupt};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use self::explainer::Explainer;
use self::explanation::Explanation;
use self::options::Settings;
use crate::cam::METHODS;
use crate::error;
use crate::model::{EMBEDDED, GradientOptions, gradient_model, prepared};
use crate::onnx::OnnxModel;
use crate::session::runtime;

create_exception!(whycam, Error, PyException, "What went wrong, with the thing, the place and the remedy.");

impl From<error::Error> for PyErr {
    fn from(error: error::Error) -> Self {
        match error {
            error::Error::Cancelled => PyKeyboardInterrupt::new_err(()),
            error => Error::new_err(as_keywords(&error.to_string())),
        }
    }
}

/// A message with the program's options, such as `--input-size`, as keywords: `input_size=`.
fn as_keywords(message: &str) -> String {
    let mut parts = message.split("--");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_alphabetic() && c != '-').unwrap_or(part.len());
        let (option, rest) = part.split_at(end);
        text.push_str(&match option {
            "" => "--".to_owned(),
            "shape" => "shapes=".to_owned(),
            option => option.replace('-', "_") + "=",
        });
        text.push_str(rest);
    }
    text
}

/// The bytes of a model that explains its predictions in any ONNX runtime.
///
/// Beside the model's own outputs it gives `logits`, `activations` and `gradients`, and with `cam` the map. The input
/// `class_index`, int64 `[N]`, chooses the class, -1 the predicted one. The metadata `whycam.*` say the rest.
#[pyfunction]
#[pyo3(signature = (model = None, *, cam = true, **options), text_signature = "(model='flowers', *, cam=True, **options)")]
fn prepare<'py>(
    py: Python<'py>,
    model: Option<&Bound<'py, PyAny>>,
    cam: bool,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let settings = Settings::new(model, options)?;
    let bytes = py.detach(|| prepared(&settings.options, &settings.request, cam).map(|made| made.model.to_bytes()))?;
    Ok(PyBytes::new(py, &bytes))
}

/// The bytes of a model of anything with its backward pass: `seed` goes in, and `BY.gradient` comes out for each tensor of
/// `by`. `shapes` says with which lengths a model is tried that leaves some free.
#[pyfunction]
#[pyo3(signature = (model, of, by, *, shapes = None))]
fn differentiate<'py>(
    model: &Bound<'py, PyAny>,
    of: &Bound<'py, PyAny>,
    by: &Bound<'py, PyAny>,
    shapes: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let py = model.py();
    let mut lengths = Vec::new();
    for (name, shape) in shapes.into_iter().flat_map(PyDictMethods::iter) {
        lengths.push((name.extract()?, shape.extract()?));
    }
    let options = GradientOptions { of: convert::names(of)?, by: convert::names(by)?, shapes: lengths };
    let model = match model.cast::<PyBytes>() {
        Ok(bytes) => OnnxModel::from_bytes("model", bytes.as_bytes().to_vec())?,
        Err(_) => OnnxModel::read(&model.extract::<std::path::PathBuf>()?)?,
    };
    let bytes = py.detach(|| gradient_model(&model, &options).map(|made| made.model.to_bytes()))?;
    Ok(PyBytes::new(py, &bytes))
}

/// The names of the methods.
#[pyfunction]
fn methods() -> Vec<&'static str> {
    METHODS.iter().map(|method| method.name).collect()
}

/// The names of the built-in models.
#[pyfunction]
fn models() -> Vec<&'static str> {
    EMBEDDED.iter().map(|model| model.name).collect()
}

/// The inference runtime of this process, by its name and path.
#[pyfunction(name = "runtime")]
fn runtime_name() -> PyResult<&'static str> {
    Ok(runtime()?.name.as_str())
}

#[pymodule]
fn _whycam(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("Error", module.py().get_type::<Error>())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<Explainer>()?;
    module.add_class::<Explanation>()?;
    module.add_function(wrap_pyfunction!(prepare, module)?)?;
    module.add_function(wrap_pyfunction!(differentiate, module)?)?;
    module.add_function(wrap_pyfunction!(methods, module)?)?;
    module.add_function(wrap_pyfunction!(models, module)?)?;
    module.add_function(wrap_pyfunction!(runtime_name, module)?)
}
