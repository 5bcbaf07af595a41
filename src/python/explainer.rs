//! `whycam.Explainer`

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use numpy::PyReadonlyArrayDyn;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::as_keywords;
use super::convert;
use super::explanation::Explanation;
use super::options::Settings;
use crate::error::{Error, Result};
use crate::explain::{Explainer as Inner, ExplanationContext};
use crate::media::Frame;
use crate::model::Guess;

/// Explains one picture after the other.
///
/// The interpreter's lock is released while it runs. An explainer explains one picture at a time; for several at a time, give
/// each thread its own explainer with `threads=1`.
#[pyclass(module = "whycam", frozen)]
pub struct Explainer {
    inner: Mutex<Inner>,
    context: Arc<ExplanationContext>,
    interrupt: Interrupt,
}

/// What a signal raised while an explanation of many runs was made.
type Interrupt = Arc<Mutex<Option<PyErr>>>;

impl Explainer {
    /// Runs without the interpreter's lock.
    fn run<T: Send>(&self, py: Python<'_>, call: impl FnOnce(&mut Inner) -> Result<T> + Send) -> PyResult<T> {
        let result = py.detach(|| call(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner)));
        let raised = self.interrupt.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (result, raised) {
            (Err(Error::Cancelled), Some(raised)) => Err(raised),
            (result, _) => Ok(result?),
        }
    }
}

#[pymethods]
impl Explainer {
    #[new]
    #[pyo3(signature = (model = None, **options), text_signature = "(model='flowers', **options)")]
    fn new(py: Python<'_>, model: Option<&Bound<'_, PyAny>>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let settings = Settings::new(model, options)?;
        let mut inner = py.detach(|| Inner::new(&settings.options, &settings.request))?;
        let interrupt = Interrupt::default();
        let keep = interrupt.clone();
        inner.cancel_when(move || {
            let raised = Python::attach(|py| py.check_signals().err());
            let is_raised = raised.is_some();
            *keep.lock().unwrap_or_else(PoisonError::into_inner) = raised;
            is_raised
        });
        let context = Arc::new(inner.context().clone());
        Ok(Self { inner: Mutex::new(inner), context, interrupt })
    }

    /// Explains a picture: a path, an array uint8 `[height,width,3]` in RGB, or a Pillow image.
    fn explain(&self, picture: &Bound<'_, PyAny>) -> PyResult<Explanation> {
        let name: PathBuf = picture.extract().unwrap_or_default();
        let pixels = convert::picture(picture)?;
        let explanation = self.run(picture.py(), |inner| inner.explain(&pixels))?;
        Ok(Explanation { explanation, context: self.context.clone(), frame: Frame::alone(&name, pixels, None), name })
    }

    /// Explains the model's input, an array float32 of its shape, with or without a batch of 1. The map lies over all of it.
    fn explain_tensor(&self, tensor: &Bound<'_, PyAny>) -> PyResult<Explanation> {
        let wrong = |_| PyTypeError::new_err("tensor: give an array float32 of the shape of the model's input");
        let tensor: PyReadonlyArrayDyn<f32> = tensor.extract().map_err(wrong)?;
        let (py, values) = (tensor.py(), tensor.as_array().to_owned());
        let explanation = self.run(py, |inner| inner.explain_tensor(values.view()))?;
        let size = [explanation.seen.width, explanation.seen.height].map(|side| side.round() as u32);
        let picture = image::RgbImage::new(size[0], size[1]);
        let name = PathBuf::new();
        Ok(Explanation { explanation, context: self.context.clone(), frame: Frame::alone(&name, picture, None), name })
    }

    /// The names of the classes, in the order of the logits; empty where the model tells none.
    #[getter]
    fn labels(&self) -> Vec<String> {
        self.context.labels.clone()
    }

    /// What the model does: classify, detect, segment, embed or value.
    #[getter]
    fn task(&self) -> &'static str {
        self.context.task
    }

    #[getter]
    fn method(&self) -> &str {
        &self.context.method
    }

    /// The layer that is explained, by the name of its tensor.
    #[getter]
    fn layer(&self) -> &str {
        &self.context.layer
    }

    /// What was guessed or found out about the model, a line each.
    #[getter]
    fn notices(&self) -> Vec<String> {
        let guess = self.context.guess.iter().map(Guess::notice);
        guess.chain(self.context.notices.iter().cloned()).map(|notice| as_keywords(&notice)).collect()
    }

    /// Layers to offer: the default one, and for each other grid the last layer that has it.
    fn layers(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.run(py, Inner::layers)
    }

    fn __repr__(&self) -> String {
        let ExplanationContext { model, task, method, layer, .. } = self.context.as_ref();
        format!("<whycam.Explainer of {model}: {task}, {method} at {layer}>")
    }
}
