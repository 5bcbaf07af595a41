//! The keywords that say which model, and what is explained.

use std::path::PathBuf;
use std::str::FromStr;

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::convert::{model_source, names};
use crate::cam::{self, Fusion};
use crate::files::limits;
use crate::grad::{Background, BoxOrder, LayerName, Probability, TASKS};
use crate::model::{ClassName, Direction, Feed, FeedValue, ModelOptions, Preset, Reference, Request, ScoreQuery};

const KEYWORDS: &str = "method, layer, fuse, classes, contrast, signed, direction, task, output, scores, background, box_order, labels, preset, \
    input_size, feed, like, words, text_model, tokenizer, logit_scale, logit_bias, threshold, overlap, detections, each, device, threads";

/// Which model, and what is explained.
pub struct Settings {
    pub options: ModelOptions,
    pub request: Request,
}

impl Settings {
    pub fn new(model: Option<&Bound<PyAny>>, keywords: Option<&Bound<PyDict>>) -> PyResult<Self> {
        let mut settings = Self { options: ModelOptions::default(), request: Request::default() };
        if let Some(model) = model {
            settings.options.model = model_source(model)?;
        }
        for (name, value) in keywords.into_iter().flat_map(PyDictMethods::iter) {
            let name: String = name.extract()?;
            if value.is_none() {
                continue;
            }
            let set = settings.set_model(&name, &value).and_then(|set| Ok(set || settings.set_map(&name, &value)?));
            if !set.map_err(|error| of_keyword(value.py(), &name, error))? {
                return Err(PyTypeError::new_err(format!("there is no keyword '{name}'; there are {KEYWORDS}")));
            }
        }
        if keywords
            .is_some_and(|given| ["classes", "contrast"].iter().all(|name| given.contains(name).unwrap_or(false)))
        {
            return Err(PyValueError::new_err("classes and contrast exclude each other"));
        }
        settings.check()?;
        Ok(settings)
    }

    /// Refuses what no picture can be explained with.
    fn check(&self) -> PyResult<()> {
        let (options, detections) = (&self.options, self.request.detections);
        let is_share = |value: f32| (0.0..=1.0).contains(&value);
        let sensible = |(width, height): (u32, u32)| [width, height].iter().all(|side| limits::SIDES.contains(side));
        let wrong = [
            (!is_share(detections.threshold), "threshold: give a number from 0 to 1"),
            (!is_share(detections.overlap), "overlap: give a number from 0 to 1"),
            (detections.most == 0, "detections: give a number from 1 on"),
            (options.input_size.is_some_and(|size| !sensible(size)), "input_size: give (width, height) up to 8192"),
            (options.compute.threads > 1024, "threads: give a number up to 1024"),
        ];
        match wrong.into_iter().find(|(is_wrong, _)| *is_wrong) {
            Some((_, problem)) => Err(PyValueError::new_err(problem)),
            None => Ok(()),
        }
    }

    /// Sets what belongs to the model. Gives false for another keyword.
    fn set_model(&mut self, name: &str, value: &Bound<PyAny>) -> PyResult<bool> {
        let options = &mut self.options;
        match name {
            "task" => options.task = Some(one_of(name, value, TASKS)?),
            "output" => options.output = Some(value.extract()?),
            "scores" => options.reading.scores = Probability::named(one_of(name, value, Probability::NAMES)?),
            "background" => options.reading.background = Background::named(one_of(name, value, Background::NAMES)?),
            "box_order" => options.reading.box_order = BoxOrder::named(one_of(name, value, BoxOrder::NAMES)?),
            "labels" => options.labels = Some(value.extract()?),
            "preset" => options.preset = Some(Preset::from_str(&value.extract::<String>()?).map_err(PyErr::from)?),
            "input_size" => options.input_size = Some(value.extract()?),
            "feed" => {
                for (input, value) in value.cast::<PyDict>()?.iter() {
                    let number = value.extract().map(FeedValue::Number);
                    let value = number.or_else(|_| value.extract().map(FeedValue::File))?;
                    options.feed.push(Feed { input: input.extract()?, value });
                }
            }
            "like" => {
                for (name, paths) in value.cast::<PyDict>()?.iter() {
                    let name: String = name.extract()?;
                    let paths: Vec<PathBuf> = paths.extract().or_else(|_| paths.extract().map(|path| vec![path]))?;
                    let pictures = paths.into_iter().map(|path| Reference::Picture { name: name.clone(), path });
                    options.comparison.references.extend(pictures);
                }
            }
            "words" => options.comparison.references.extend(names(value)?.into_iter().map(Reference::Words)),
            "text_model" => options.comparison.text_model = Some(value.extract()?),
            "tokenizer" => options.comparison.tokenizer = Some(value.extract()?),
            "logit_scale" => options.comparison.scale = Some(value.extract()?),
            "logit_bias" => options.comparison.bias = Some(value.extract()?),
            "device" => options.compute.device = value.extract::<String>()?.parse()?,
            "threads" => options.compute.threads = value.extract()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Sets what belongs to the map. Gives false for another keyword.
    fn set_map(&mut self, name: &str, value: &Bound<PyAny>) -> PyResult<bool> {
        let request = &mut self.request;
        match name {
            "method" => request.method = Some(cam::find(&value.extract::<String>()?)?),
            "layer" => {
                request.layers = names(value)?.iter().flat_map(|name| LayerName::parse_list(name)).collect();
            }
            "fuse" => {
                let ways = [("max", Fusion::Max), ("mean", Fusion::Mean), ("product", Fusion::Product)];
                let chosen = one_of(name, value, &ways.map(|(name, _)| name))?;
                request.fusion = ways.into_iter().find(|(name, _)| *name == chosen).map_or(Fusion::Max, |(_, way)| way);
            }
            "classes" => request.scores = scores(value)?,
            "contrast" => {
                let pair: [String; 2] = names(value)?.try_into().map_err(|_| two_classes())?;
                let [class, against] = pair.map(|name| ClassName::from(name.as_str()));
                if class == against {
                    return Err(two_classes());
                }
                request.scores = vec![ScoreQuery::Contrast { class, against }];
            }
            "signed" => request.signed = value.extract()?,
            "direction" => {
                let down = one_of(name, value, &["up", "down"])? == "down";
                request.direction = if down { Direction::Down } else { Direction::Up };
            }
            "threshold" => request.detections.threshold = value.extract()?,
            "overlap" => request.detections.overlap = value.extract()?,
            "detections" => request.detections.most = value.extract()?,
            "each" => request.detections.each = value.extract()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// The scores of one class, or of each of a list. The names of a list may hold commas.
fn scores(value: &Bound<PyAny>) -> PyResult<Vec<ScoreQuery>> {
    let names = names(value)?;
    if names.is_empty() {
        return Err(PyValueError::new_err("classes: the list is empty"));
    }
    let mut scores = Vec::new();
    for name in names {
        if name.starts_with("top") || value.is_instance_of::<PyString>() {
            scores.extend(ScoreQuery::parse_list(&name)?);
        } else {
            scores.push(ScoreQuery::Class(ClassName::from(name.as_str())));
        }
    }
    Ok(scores)
}

fn two_classes() -> PyErr {
    PyValueError::new_err("contrast: give two different classes, such as [\"roses\", \"tulips\"]")
}

/// An error about the kind of a value names the keyword.
fn of_keyword(py: Python<'_>, name: &str, error: PyErr) -> PyErr {
    if error.is_instance_of::<PyTypeError>(py) || error.is_instance_of::<PyOverflowError>(py) {
        return PyTypeError::new_err(format!("{name}: {}", error.value(py)));
    }
    error
}

fn one_of(name: &str, value: &Bound<PyAny>, known: &[&'static str]) -> PyResult<&'static str> {
    let given: String = value.extract()?;
    let found = known.iter().find(|known| **known == given).copied();
    found.ok_or_else(|| PyValueError::new_err(format!("{name}: there is no '{given}'; there are {}", known.join(", "))))
}
