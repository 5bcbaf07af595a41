//! From a picture to its explanation: preprocess, one run, map.

use image::RgbImage;
use ndarray::{ArrayD, ArrayViewD, Axis};
use tracing::trace_span;

use crate::analysis::{Prepared, prepare_for_classes};
use crate::cam::{How, Method};
use crate::classes::{Classes, parse_contrast};
use crate::error::{Error, Result};
use crate::explanation::{Explanation, Facts};
use crate::grad::list_candidates;
use crate::manifest::Layout;
use crate::opening::open;
use crate::options::ExplainerOptions;
use crate::preprocess::{Preprocessor, Region};
use crate::probed::Probed;
use crate::question::Question;
use crate::runner::{Runner, TailRunner};

/// Explains one picture after the other.
pub struct Explainer {
    preprocessor: Preprocessor,
    runner: Runner,
    tail: Option<TailRunner>,
    question: Question,
    options: ExplainerOptions,
    /// The model as it was looked through, for another method or layer; not kept before one is asked for.
    probed: Option<Probed>,
}

impl Explainer {
    /// Reads the model, appends what the method needs and loads the whole into the runtime.
    ///
    /// # Errors
    /// As [`prepare`](crate::prepare); method or class do not exist.
    pub fn new(options: &ExplainerOptions) -> Result<Self> {
        Self::of(options, &mut None)
    }

    fn of(options: &ExplainerOptions, probed: &mut Option<Probed>) -> Result<Self> {
        let method = options.find_method()?;
        let several = options.contrast.is_none() && Classes::are_several(options.class.as_deref().unwrap_or_default());
        if several && method.how.formula().is_some() {
            // Not every graph can be run on one picture for several classes. What else is wrong is said below.
            if let Ok(mut explainer) = Self::build(options, method, true, probed) {
                let zeros = ArrayD::zeros(explainer.runner.shape.as_slice());
                if explainer.explain_tensor(zeros.view()).is_ok() {
                    return Ok(explainer);
                }
            }
        }
        Self::build(options, method, false, probed)
    }

    fn build(
        options: &ExplainerOptions,
        method: &'static Method,
        several: bool,
        probed: &mut Option<Probed>,
    ) -> Result<Self> {
        let mut prepared = prepare_for_classes(options, several, probed)?;
        let in_graph = matches!(method.how, How::GradCam) && prepared.layers == 1 && !prepared.several;
        if in_graph {
            prepared.reduce_to_cam()?;
        }
        let labels = &prepared.manifest.labels;
        let against = options.contrast.as_ref().map(|pair| parse_contrast(pair, labels)).transpose()?;
        let classes = match against {
            Some((class, _)) => Classes(vec![class as i64]),
            None => Classes::parse(options.class.as_deref().unwrap_or("top"), labels, prepared.classes)?,
        };
        let runner = Runner::new(&prepared, classes.0.len(), options.compute)?;
        let Prepared { manifest, guess, layer, place, probability, tail, layers, several: at_once, .. } = prepared;
        let unit = if layers > 1 { "share of the largest" } else { method.unit };
        let against = against.map(|(_, other)| other);
        let facts = Facts {
            model: manifest.name,
            layer,
            method: method.name.to_owned(),
            labels: manifest.labels,
            unit,
            against,
            guess,
        };
        Ok(Self {
            runner,
            tail: tail.map(|tail| TailRunner::new(tail, options.compute)).transpose()?,
            question: Question {
                probability,
                method,
                in_graph,
                classes,
                at_once,
                layers,
                fusion: options.fusion,
                input: [manifest.input.height, manifest.input.width],
                place,
                known: manifest.known,
                facts,
                give_up: Box::new(|| false),
            },
            preprocessor: Preprocessor::new(manifest.input),
            options: options.clone(),
            probed: None,
        })
    }

    pub fn facts(&self) -> &Facts {
        &self.question.facts
    }

    /// What it was made with, and changed to since.
    pub fn options(&self) -> &ExplainerOptions {
        &self.options
    }

    /// Whether it explains the predicted class of each picture, whichever that is.
    pub fn follows_prediction(&self) -> bool {
        self.question.classes.0 == [-1] && self.question.facts.against.is_none()
    }

    /// From now on explains this class, or without one the predicted class of each picture.
    ///
    /// # Errors
    /// It was made to explain several classes, or one against another.
    pub fn set_class(&mut self, class_index: Option<usize>) -> Result<()> {
        if self.question.at_once || self.question.facts.against.is_some() {
            let problem = "an explainer of several classes keeps to these";
            return Err(Error::model(&self.question.facts.model, problem));
        }
        self.question.classes = Classes(vec![class_index.map_or(-1, |class| class as i64)]);
        Ok(())
    }

    /// From now on explains by this method, and the class that it was made for. The model is not looked through again.
    ///
    /// # Errors
    /// As [`Explainer::new`]; the explainer is as before.
    pub fn set_method(&mut self, method: &str) -> Result<()> {
        self.change(ExplainerOptions { method: Some(method.to_owned()), ..self.options.clone() })
    }

    /// From now on explains at this layer, and the class that it was made for. The model is not looked through again.
    ///
    /// # Errors
    /// As [`Explainer::new`]; the explainer is as before.
    pub fn set_layer(&mut self, layer: &str) -> Result<()> {
        self.change(ExplainerOptions { layer: Some(layer.to_owned()), ..self.options.clone() })
    }

    fn change(&mut self, options: ExplainerOptions) -> Result<()> {
        let changed = Self::of(&options, &mut self.probed)?;
        let probed = self.probed.take();
        *self = Self { probed, ..changed };
        Ok(())
    }

    /// Layers to look at the model by: its default one, and for each finer grid the last layer that has it.
    ///
    /// # Errors
    /// As [`analyse`](crate::analyse).
    pub fn layers(&mut self) -> Result<Vec<String>> {
        let options = ExplainerOptions { layer: None, ..self.options.clone() };
        let analysis = Probed::kept(&mut self.probed, || open(&options))?.clone().analyse(&options)?;
        let channels_last = analysis.manifest.input.layout == Layout::ChannelsLast;
        let candidates = list_candidates(&analysis.model, &analysis.tensors, &analysis.head, channels_last);
        let view = &analysis.target.layer.view;
        let mut grids = vec![(view.height, view.width)];
        let mut layers = vec![analysis.target.layer.tensor];
        for candidate in candidates.into_iter().rev() {
            let grid = (candidate.view.height, candidate.view.width);
            if candidate.op != "Pad" && !grids.contains(&grid) {
                grids.push(grid);
                layers.push(candidate.tensor);
            }
        }
        Ok(layers)
    }

    /// From now on gives up a method of many runs as soon as this is so, with [`Error::GivenUp`]: at a fine layer such a
    /// map takes minutes.
    pub fn give_up_when(&mut self, asked: impl Fn() -> bool + Send + 'static) {
        self.question.give_up = Box::new(asked);
    }

    /// # Errors
    /// The runtime fails, or the explanation was given up.
    pub fn explain(&mut self, picture: &RgbImage) -> Result<Explanation> {
        let (tensor, region) = trace_span!("preprocess").in_scope(|| self.preprocessor.run(picture))?;
        self.question.answer(&mut self.runner, self.tail.as_mut(), tensor, region)
    }

    /// Explains the model's input as it is: a picture that was preprocessed elsewhere, in the shape
    /// of the model's input, with or without a batch of 1. The map lies over all of it.
    ///
    /// # Errors
    /// The tensor has another shape than the model's input, the runtime fails, or the explanation was given up.
    pub fn explain_tensor(&mut self, tensor: ArrayViewD<f32>) -> Result<Explanation> {
        let wanted = &self.runner.shape[1..];
        let given = tensor.shape().to_vec();
        let tensor = if given == wanted { tensor.insert_axis(Axis(0)) } else { tensor };
        if tensor.shape() != [&[1], wanted].concat() {
            let problem = format!("the tensor is {given:?}, but the model takes {wanted:?}");
            return Err(Error::model(&self.question.facts.model, problem));
        }
        let spec = self.preprocessor.spec();
        let region = Region { x: 0.0, y: 0.0, width: spec.width as f64, height: spec.height as f64 };
        let tensor = tensor.as_standard_layout();
        self.question.answer(&mut self.runner, self.tail.as_mut(), tensor.view(), region)
    }
}
