//! What is asked of each picture, and the answer out of the runs of a model.

use ndarray::{Array2, Array3, Array4, ArrayViewD, Axis};
use tracing::trace_span;

use crate::cam::{self, Behind, CamMap, Formula, How, Method, OneRun, Whole};
use crate::classes::Classes;
use crate::error::{Error, Result};
use crate::explanation::{ClassMap, Explanation, Facts, Familiarity, Ranked};
use crate::grad::{CURVATURE, Explained, Place, Probability, names_of_layer};
use crate::manifest::Known;
use crate::options::Fusion;
use crate::preprocess::{Region, as_input, channels_first};
use crate::runner::{Run, Runner, TailRunner};
use crate::scores::Scores;

const NAMES: Explained = Explained::NAMES;

/// What is asked of each picture.
pub struct Question {
    pub probability: Probability,
    pub method: &'static Method,
    /// Whether the model makes the map itself.
    pub in_graph: bool,
    pub classes: Classes,
    /// Whether one run gives the gradients of all classes.
    pub at_once: bool,
    pub layers: usize,
    pub fusion: Fusion,
    /// Rows and columns of the model's input.
    pub input: [usize; 2],
    pub place: Place,
    pub known: Option<Known>,
    pub facts: Facts,
    /// Asked before each run of a method of many.
    pub give_up: Box<dyn Fn() -> bool + Send>,
}

impl Question {
    /// One picture's explanation, from the model's input for it.
    ///
    /// # Errors
    /// The runtime fails, or the explanation was given up.
    pub fn answer(
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
