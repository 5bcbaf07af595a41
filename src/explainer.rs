//! From a picture to its explanation: preprocess, one run, map.

use image::RgbImage;
use ndarray::{Array2, Array3, Array4, ArrayD, ArrayViewD, Axis};
use tracing::trace_span;

use crate::analysis::{Prepared, prepare_for_classes};
use crate::cam::{self, Behind, CamMap, Formula, How, Method, OneRun, Whole};
use crate::classes::{Classes, parse_contrast};
use crate::error::{Error, Result};
use crate::grad::{CURVATURE, Explained, Place, Probability, names_of_layer};
use crate::manifest::Known;
use crate::opening::Guess;
use crate::options::{ExplainerOptions, Fusion};
use crate::preprocess::{Preprocessor, Region, as_input, channels_first};
use crate::runner::{Run, Runner, TailRunner};
use crate::scores::Scores;

const NAMES: Explained = Explained::NAMES;

/// One class of a ranking.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    pub class_index: usize,
    /// 0..=1.
    pub probability: f32,
}

/// Why one picture is what the model says it is.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The class that the map explains.
    pub class_index: usize,
    /// 0..=1.
    pub probability: f32,
    pub logit: f32,
    /// The five likeliest classes, first to last.
    pub top: Vec<Ranked>,
    pub map: CamMap,
    /// The other classes that were asked for.
    pub others: Vec<ClassMap>,
    /// Where on the picture the maps' cells lie, receptive field on receptive field; it may reach beyond the picture.
    pub region: Region,
    /// What the model saw of the picture.
    pub seen: Region,
    /// How familiar the picture is to a model that says so.
    pub familiarity: Option<Familiarity>,
}

/// How familiar a picture is to its model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Familiarity {
    pub value: f32,
    /// Below this the picture shows none of the classes.
    pub least: f32,
}

impl Explanation {
    /// The map over what the model saw, bilinearly at the given size.
    ///
    /// # Errors
    /// A side is 0.
    pub fn over_input(&self, height: usize, width: usize) -> Result<Array2<f32>> {
        let [from, over] = self.region.in_cells(&self.seen, self.map.values.dim());
        cam::window(self.map.values.view(), &cam::Window { from, over, height, width })
    }

    /// Whether the picture shows any of the model's classes, as far as the model can tell.
    pub fn is_sure(&self) -> bool {
        self.familiarity.is_none_or(|familiarity| familiarity.value >= familiarity.least)
    }
}

/// Why a picture is what it is for one more class.
#[derive(Clone, Debug)]
pub struct ClassMap {
    pub class_index: usize,
    /// 0..=1.
    pub probability: f32,
    pub logit: f32,
    pub map: CamMap,
}

/// Explains one picture after the other.
pub struct Explainer {
    preprocessor: Preprocessor,
    runner: Runner,
    tail: Option<TailRunner>,
    question: Question,
    options: ExplainerOptions,
}

/// What is asked of each picture.
struct Question {
    probability: Probability,
    method: &'static Method,
    /// Whether the model makes the map itself.
    in_graph: bool,
    classes: Classes,
    /// Whether one run gives the gradients of all classes.
    at_once: bool,
    layers: usize,
    fusion: Fusion,
    /// Rows and columns of the model's input.
    input: [usize; 2],
    place: Place,
    known: Option<Known>,
    facts: Facts,
    give_up: Box<dyn Fn() -> bool + Send>,
}

/// What stays the same from picture to picture.
#[derive(Clone, Debug)]
pub struct Facts {
    pub model: String,
    pub layer: String,
    pub method: String,
    pub labels: Vec<String>,
    /// What the numbers of the map are.
    pub unit: &'static str,
    /// The class that the others' evidence is set against.
    pub against: Option<usize>,
    /// How pictures are preprocessed, where that was guessed.
    pub guess: Option<Guess>,
}

impl Facts {
    /// The name of a class, or its number where the model has no labels.
    pub fn label(&self, class_index: usize) -> String {
        self.labels.get(class_index).cloned().unwrap_or_else(|| format!("class {class_index}"))
    }
}

impl Explainer {
    /// Reads the model, appends what the method needs and loads the whole into the runtime.
    ///
    /// # Errors
    /// As [`prepare`](crate::prepare); method or class do not exist.
    pub fn new(options: &ExplainerOptions) -> Result<Self> {
        let method = options.find_method()?;
        let several = options.contrast.is_none() && Classes::are_several(options.class.as_deref().unwrap_or_default());
        if several && method.how.formula().is_some() {
            // Not every graph can be run on one picture for several classes. What else is wrong is said below.
            if let Ok(mut explainer) = Self::build(options, method, true) {
                let zeros = ArrayD::zeros(explainer.runner.shape.as_slice());
                if explainer.explain_tensor(zeros.view()).is_ok() {
                    return Ok(explainer);
                }
            }
        }
        Self::build(options, method, false)
    }

    fn build(options: &ExplainerOptions, method: &'static Method, several: bool) -> Result<Self> {
        let mut prepared = prepare_for_classes(options, several)?;
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
        })
    }

    pub fn facts(&self) -> &Facts {
        &self.question.facts
    }

    /// What it was made with.
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

impl Question {
    /// One picture's explanation, from the model's input for it.
    fn answer(
        &self,
        runner: &mut Runner,
        tail: Option<&mut TailRunner>,
        tensor: ArrayViewD<f32>,
        seen: Region,
    ) -> Result<Explanation> {
        let asked = if self.at_once { &self.classes.0[..] } else { &self.classes.0[..1] };
        let outputs = runner.run(tensor.view(), asked)?;
        let scores = Scores::of(outputs.logits()?, self.probability);
        let familiarity = match &self.known {
            Some(Known { output, least }) => Some(Familiarity { value: outputs.first(output)?, least: *least }),
            None => None,
        };
        let mut tail = tail;
        let mut maps = Vec::with_capacity(self.classes.0.len());
        let own_run = match self.method.how {
            How::Activations(_) | How::Tail(_) => false,
            How::GradCam | How::Gradients(_) | How::Curvature(_) => !self.at_once && self.classes.0.len() > 1,
            How::Copies(_) | How::Masks(_) => true,
        };
        let making = trace_span!("map").entered();
        if own_run {
            drop(outputs);
            for class in self.classes.0.iter().map(|class| scores.index_of(*class)) {
                maps.push((class, self.map_of_class(class, runner, tensor.view())?));
            }
        } else {
            for (number, class) in self.classes.0.iter().enumerate() {
                let class = scores.index_of(*class);
                maps.push((class, self.map_of_run(&outputs, number, class, &scores, tail.as_deref_mut())?));
            }
        }
        drop(making);
        let mut maps = maps.into_iter().map(|(class_index, values)| ClassMap {
            class_index,
            probability: scores.probabilities[class_index],
            logit: scores.logits[class_index],
            map: CamMap::new(values),
        });
        let Some(ClassMap { class_index, probability, logit, map }) = maps.next() else {
            return Err(Error::model(&self.facts.model, "the run gave no gradient"));
        };
        let shape = map.values.dim();
        let top = scores.ranking.iter().take(5);
        let top = top.map(|&class_index| Ranked { class_index, probability: scores.probabilities[class_index] });
        Ok(Explanation {
            class_index,
            probability,
            logit,
            top: top.collect(),
            map,
            others: maps.collect(),
            region: seen.of_map(&self.place, shape, self.input),
            seen,
            familiarity,
        })
    }

    /// The map of a class out of a run for it; of several at once, it is the one with the given number.
    fn map_of_run(
        &self,
        outputs: &Run,
        number: usize,
        class: usize,
        scores: &Scores,
        tail: Option<&mut TailRunner>,
    ) -> Result<Array2<f32>> {
        if self.in_graph {
            return outputs.cam();
        }
        if let Some(of) = self.method.how.formula() {
            return self.fused_map(outputs, of, number);
        }
        let all = outputs.maps(NAMES.activations)?;
        let activations = all.index_axis(Axis(0), 0);
        match self.method.how {
            How::Activations(of) => Ok(of(activations)),
            How::Curvature(of) => {
                let gradients = outputs.maps(NAMES.gradients)?;
                let gradients = gradients.index_axis(Axis(0), 0);
                match outputs.maps(CURVATURE) {
                    Ok(product) => Ok(of(activations, gradients, product.index_axis(Axis(0), 0))),
                    // Behind the layer all is linear.
                    Err(_) => Ok(of(activations, gradients, Array3::zeros(gradients.dim()).view())),
                }
            }
            How::Tail(of) => {
                let tail = tail.ok_or_else(|| Error::model(&self.facts.model, "it was prepared without its tail"))?;
                let beside = tail.beside(outputs)?;
                let run = &mut |batch: Array4<f32>| {
                    self.go_on()?;
                    let rows = tail.run(batch, &beside)?;
                    Ok(rows.outer_iter().map(|row| Scores::of(row, self.probability).of_class(class)).collect())
                };
                of(&mut Behind { activations, score: scores.of_class(class), run })
            }
            How::GradCam | How::Gradients(_) | How::Copies(_) | How::Masks(_) => {
                Err(Error::model(&self.facts.model, "one run makes no map by this method"))
            }
        }
    }

    /// Asked before each run of a method of many.
    fn go_on(&self) -> Result<()> {
        if (self.give_up)() { Err(Error::GivenUp) } else { Ok(()) }
    }

    /// The map of a run over all layers.
    fn fused_map(&self, outputs: &Run, of: Formula, number: usize) -> Result<Array2<f32>> {
        let map = |activations: &str, gradients: &str| {
            let (activations, gradients) = (outputs.maps(activations)?, outputs.maps(gradients)?);
            let gradients = gradients.outer_iter().nth(number);
            let gradients =
                gradients.ok_or_else(|| Error::model(&self.facts.model, "the run gave too few gradients"))?;
            Ok(of(activations.index_axis(Axis(0), 0), gradients))
        };
        let first = map(NAMES.activations, NAMES.gradients);
        if self.layers == 1 {
            return first;
        }
        let further = (1..self.layers).map(|layer| {
            let [activations, gradients] = names_of_layer(layer);
            map(&activations, &gradients)
        });
        let maps = std::iter::once(first).chain(further).collect::<Result<Vec<_>>>()?;
        cam::fused(maps, self.fusion == Fusion::Mean)
    }

    /// The map of one class, by runs of its own.
    fn map_of_class(&self, class: usize, runner: &mut Runner, tensor: ArrayViewD<f32>) -> Result<Array2<f32>> {
        let outputs = runner.run(tensor.view(), &[class as i64])?;
        let (How::Copies(of) | How::Masks(of)) = self.method.how else {
            let scores = Scores::of(outputs.logits()?, self.probability);
            return self.map_of_run(&outputs, 0, class, &scores, None);
        };
        let activations = outputs.maps(NAMES.activations)?.index_axis(Axis(0), 0).to_owned();
        drop(outputs);
        let channels_last = runner.channels_last;
        let input = channels_first(tensor, channels_last)?;
        let run = &mut |copy: Array3<f32>| {
            self.go_on()?;
            let outputs = runner.run(as_input(copy.view(), channels_last).view(), &[class as i64])?;
            let first = |name| Ok::<_, Error>(outputs.maps(name)?.index_axis(Axis(0), 0).to_owned());
            let gradients =
                if self.method.how.needs_gradients() { first(NAMES.gradients)? } else { Array3::default([0, 0, 0]) };
            let score = Scores::of(outputs.logits()?, self.probability).of_class(class);
            Ok(OneRun { activations: first(NAMES.activations)?, gradients, score })
        };
        of(&mut Whole { input, activations: activations.view(), run })
    }
}
