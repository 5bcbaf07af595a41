//! `whycam.Explanation`

use std::path::PathBuf;
use std::sync::Arc;

use numpy::ndarray::Array3;
use numpy::{IntoPyArray, PyArray2, PyArray3, ToPyArray};
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;

use crate::cam::CamMap;
use crate::explain::{Explanation as Inner, ExplanationContext};
use crate::media::Frame;
use crate::overlay::{Blend, Colormap, HeatScale, Overlay, Style};
use crate::sink::json_line;

/// Why a model says what it says of one picture.
#[pyclass(module = "whycam", frozen)]
pub struct Explanation {
    pub(super) explanation: Inner,
    pub(super) context: Arc<ExplanationContext>,
    pub(super) frame: Frame,
    pub(super) name: PathBuf,
}

impl Explanation {
    fn map_of(&self, index: usize) -> PyResult<&CamMap> {
        let count = self.explanation.maps().count();
        let missing = || PyIndexError::new_err(format!("there is no map {index}; there are {count}"));
        self.explanation.maps().nth(index).ok_or_else(missing)
    }
}

#[pymethods]
impl Explanation {
    /// The map of what is explained first: float32 `[height,width]` of the layer's cells, after the `ReLU` unless it is signed,
    /// not normalised.
    #[getter]
    fn map<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray2<f32>> {
        self.explanation.map.values.to_pyarray(py)
    }

    /// Every map: that of what is explained first, then those of further classes, detections, segments or values.
    #[getter]
    fn maps<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyArray2<f32>>> {
        self.explanation.maps().map(|map| map.values.to_pyarray(py)).collect()
    }

    /// Where the outer edges of the maps lie in the picture, in its pixels: x, y, width and height.
    #[getter]
    fn region(&self) -> (f64, f64, f64, f64) {
        let region = &self.explanation.region;
        (region.x, region.y, region.width, region.height)
    }

    /// Whether the first map shows any evidence.
    #[getter]
    fn evidence(&self) -> bool {
        self.explanation.map.evidence
    }

    /// What the drawn picture says, a line each.
    #[getter]
    fn captions(&self) -> Vec<String> {
        self.explanation.captions(&self.context)
    }

    /// A map over the whole picture, float32 `[height,width]` of the picture: bilinear, each cell where its receptive field
    /// lies, zero where the model does not see the picture.
    #[pyo3(signature = (index = 0))]
    fn over_picture<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let (width, height) = self.frame.picture.dimensions();
        let map = self.map_of(index)?;
        let whole = py.detach(|| self.explanation.over_picture(map, (width as usize, height as usize)))?;
        Ok(whole.into_pyarray(py))
    }

    /// The picture with the map and the captions drawn onto it, uint8 `[height,width,3]`.
    #[pyo3(signature = (*, blend = "even", colormap = None, alpha = None, bar = false))]
    fn draw<'py>(
        &self,
        py: Python<'py>,
        blend: &str,
        colormap: Option<&str>,
        alpha: Option<f32>,
        bar: bool,
    ) -> PyResult<Bound<'py, PyArray3<u8>>> {
        let blend = Blend::named(blend)?;
        let colormap = Colormap::named(colormap.unwrap_or(blend.usual_colormap()))?;
        let alpha = alpha.unwrap_or(blend.usual_alpha());
        if !(0.0..=1.0).contains(&alpha) {
            return Err(PyValueError::new_err("alpha: give a number from 0 to 1"));
        }
        let mut overlay = Overlay::new(Style { colormap, blend, alpha, scale: HeatScale::Frame, bar })?;
        let drawn = py.detach(|| {
            let mut frame = self.frame.clone();
            overlay.draw(&mut frame, &self.explanation, &self.context).map(|()| frame.picture.into_image())
        })?;
        let (width, height) = drawn.dimensions();
        let pixels = Array3::from_shape_vec((height as usize, width as usize, 3), drawn.into_raw());
        Ok(pixels.unwrap_or_default().into_pyarray(py))
    }

    /// The object that `whycam explain --json` writes: class, probability, detections and so on, and the size of each map.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let line = json_line(&self.frame, &self.name.to_string_lossy(), &self.explanation, &self.context)?;
        py.import("json")?.call_method1("loads", (line,))
    }

    /// A field of [`Explanation::to_dict`].
    fn __getitem__<'py>(&self, py: Python<'py>, field: &str) -> PyResult<Bound<'py, PyAny>> {
        self.to_dict(py)?.get_item(field)
    }

    /// The label of what is explained first, or None where nothing is found.
    #[getter]
    fn label<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.__getitem__(py, "label")
    }

    /// The probability of what is explained first, 0..=1, or None where there is none.
    #[getter]
    fn probability<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.__getitem__(py, "probability")
    }

    fn __repr__(&self) -> String {
        let (rows, columns) = self.explanation.map.values.dim();
        let said = self.captions().join("; ");
        format!("<whycam.Explanation: {said}; map {rows}x{columns}>")
    }
}
