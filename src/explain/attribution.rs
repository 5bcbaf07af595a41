//! Computing the maps of one picture from runs of the model.

use ndarray::{Array2, Array3, Array4, ArrayView3, ArrayView4, ArrayViewD, Axis};
use tracing::trace_span;

use super::explanation::Explanation;
use super::reading::{Reading, familiarity};
use super::remainder_runner::RemainderRunner;
use super::runner::{ModelOutputs, ModelRunner};
use crate::cam::{self, CamMap, Formula, Inputs, Method, PerturbedInput, PerturbedLayer, PerturbedRun};
use crate::error::{Error, Result};
use crate::grad::{ACTIVATIONS, CURVATURE, FieldGeometry, GRADIENTS, Task, names_of_layer};
use crate::model::{Fusion, Known, Region, Subject, as_input, channels_first};

/// What is attributed to what, picture after picture.
pub struct Attribution {
    pub model: String,
    pub task: Task,
    pub method: &'static Method,
    /// Whether the graph computes the map itself.
    pub in_graph: bool,
    pub subjects: Vec<Subject>,
    /// Whether one run gives the gradients of all subjects.
    pub batched: bool,
    pub layers: usize,
    pub fusion: Fusion,
    /// Whether the run gives the Hessian times the activations. Without it the product is zero.
    pub curvature: bool,
    /// Height and width of the model's input.
    pub input: [usize; 2],
    pub geometry: FieldGeometry,
    pub known: Option<Known>,
}

/// What formulas may use next to the run of the whole model.
pub struct Aids<'r> {
    pub remainder: Option<&'r mut RemainderRunner>,
    /// Asked before each run of a method of many runs.
    pub cancelled: &'r dyn Fn() -> bool,
}

fn check(cancelled: &dyn Fn() -> bool) -> Result<()> {
    if cancelled() { Err(Error::Cancelled) } else { Ok(()) }
}

/// The value of the input `class_index` for a subject.
fn class_index(subject: Subject) -> i64 {
    match subject {
        Subject::Rank(rank) => -1 - rank as i64,
        Subject::Class(class) => class as i64,
    }
}

/// What a map is made from.
enum Source<'s, 'o> {
    /// The gradient number `row` of a finished run.
    Run { outputs: &'s ModelOutputs<'o>, row: usize },
    /// Runs that are still to be made.
    Rerun { model: &'s mut ModelRunner, tensor: ArrayViewD<'s, f32> },
}

impl Attribution {
    /// Explains one picture, given as the model's input `[1,…]`. `seen` is the part of the picture that it covers.
    ///
    /// # Errors
    /// The runtime fails, or the explanation is cancelled.
    pub fn compute(
        &self,
        model: &mut ModelRunner,
        mut aids: Aids,
        tensor: ArrayViewD<f32>,
        seen: Region,
    ) -> Result<Explanation> {
        let asked: Vec<i64> = self.subjects.iter().copied().map(class_index).collect();
        let asked = if self.batched { &asked[..] } else { asked.get(..1).unwrap_or_default() };
        let outputs = model.run(tensor.view(), asked)?;
        let reading = Reading::new(&self.task, &outputs)?;
        let familiarity = familiarity(self.known.as_ref(), &outputs)?;
        let indices: Vec<usize> = self.subjects.iter().map(|subject| reading.index_of(*subject)).collect();
        let making = trace_span!("map").entered();
        let mut maps = Vec::with_capacity(indices.len());
        if self.needs_own_runs() {
            drop(outputs);
            for index in indices {
                let source = Source::Rerun { model: &mut *model, tensor: tensor.view() };
                maps.push((index, CamMap::new(self.map_of(index, &reading, &mut aids, source)?)));
            }
        } else {
            for (row, index) in indices.into_iter().enumerate() {
                let source = Source::Run { outputs: &outputs, row };
                maps.push((index, CamMap::new(self.map_of(index, &reading, &mut aids, source)?)));
            }
        }
        drop(making);
        let Some((prediction, map)) = reading.predict(maps, familiarity) else {
            return Err(Error::model(&self.model, "the request names nothing to explain"));
        };
        let region = seen.of_map(&self.geometry, map.values.dim(), self.input);
        Ok(Explanation::new(prediction, map, region, seen))
    }

    /// Whether each subject needs runs of the whole model for itself.
    fn needs_own_runs(&self) -> bool {
        let needs = self.method.needs();
        needs.reruns || (needs.gradient && !self.batched && self.subjects.len() > 1)
    }

    /// Hands each formula what its method declares.
    fn map_of(&self, index: usize, reading: &Reading, aids: &mut Aids, source: Source) -> Result<Array2<f32>> {
        match (self.method.inputs, source) {
            (Inputs::InputGradients(of) | Inputs::InputScores(of), Source::Rerun { model, tensor }) => {
                self.perturb_input(of, index, model, tensor, aids.cancelled)
            }
            (_, Source::Rerun { model, tensor }) => {
                let outputs = &model.run(tensor, &[index as i64])?;
                self.map_of(index, reading, aids, Source::Run { outputs, row: 0 })
            }
            (Inputs::InputGradients(_) | Inputs::InputScores(_), Source::Run { .. }) => {
                Err(Error::model(&self.model, format!("{} needs further runs", self.method.name)))
            }
            (_, Source::Run { outputs, .. }) if self.in_graph => outputs.cam(),
            (Inputs::Gradients(of), Source::Run { outputs, row }) => self.fused_map(of, outputs, row),
            (Inputs::Activations(of), Source::Run { outputs, .. }) => Ok(of(first(&outputs.maps(ACTIVATIONS)?))),
            (Inputs::Curvature(of), Source::Run { outputs, row }) => {
                let (activations, gradients) = (outputs.maps(ACTIVATIONS)?, outputs.maps(GRADIENTS)?);
                let (activations, gradients) = (first(&activations), gradients.index_axis(Axis(0), row));
                if self.curvature {
                    return Ok(of(activations, gradients, first(&outputs.maps(CURVATURE)?)));
                }
                Ok(of(activations, gradients, Array3::zeros(gradients.dim()).view()))
            }
            (Inputs::PerturbedLayer(of), Source::Run { outputs, .. }) => {
                self.perturb_layer(of, index, reading, outputs, aids)
            }
        }
    }

    /// The map of one run over all layers.
    fn fused_map(&self, of: Formula, outputs: &ModelOutputs, row: usize) -> Result<Array2<f32>> {
        let map = |activations: &str, gradients: &str| {
            let (activations, gradients) = (outputs.maps(activations)?, outputs.maps(gradients)?);
            let gradients = gradients.outer_iter().nth(row);
            let gradients = gradients.ok_or_else(|| Error::model(&self.model, "the run gave too few gradients"))?;
            Ok(of(first(&activations), gradients))
        };
        let finest = map(ACTIVATIONS, GRADIENTS);
        if self.layers == 1 {
            return finest;
        }
        let further = (1..self.layers).map(|layer| {
            let [activations, gradients] = names_of_layer(layer);
            map(&activations, &gradients)
        });
        let maps = std::iter::once(finest).chain(further).collect::<Result<Vec<_>>>()?;
        cam::fused(maps, self.fusion == Fusion::Mean)
    }

    /// A map from runs of the remainder on changed activations.
    fn perturb_layer(
        &self,
        of: fn(&mut PerturbedLayer) -> Result<Array2<f32>>,
        index: usize,
        reading: &Reading,
        outputs: &ModelOutputs,
        aids: &mut Aids,
    ) -> Result<Array2<f32>> {
        let cancelled = aids.cancelled;
        let Some(remainder) = aids.remainder.as_deref_mut() else {
            return Err(Error::model(&self.model, "it was augmented without the layers after the target"));
        };
        let side_inputs = remainder.side_inputs(outputs)?;
        let run = &mut |batch: Array4<f32>| {
            check(cancelled)?;
            let rows = remainder.run(batch.view(), &side_inputs)?;
            Ok(rows.outer_iter().map(|row| Reading::of_row(&self.task, row).score(index)).collect())
        };
        let activations = outputs.maps(ACTIVATIONS)?;
        of(&mut PerturbedLayer { activations: first(&activations), score: reading.score(index), run })
    }

    /// A map from runs of the whole model on changed inputs.
    fn perturb_input(
        &self,
        of: fn(&mut PerturbedInput) -> Result<Array2<f32>>,
        index: usize,
        model: &mut ModelRunner,
        tensor: ArrayViewD<f32>,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Array2<f32>> {
        let class = [index as i64];
        let activations = first(&model.run(tensor.view(), &class)?.maps(ACTIVATIONS)?).to_owned();
        let channels_last = model.channels_last;
        let input = channels_first(tensor, channels_last)?;
        let run = &mut |copy: Array3<f32>| {
            check(cancelled)?;
            let outputs = model.run(as_input(copy.view(), channels_last).view(), &class)?;
            let gradients = if self.method.needs().gradient {
                first(&outputs.maps(GRADIENTS)?).to_owned()
            } else {
                Array3::default([0, 0, 0])
            };
            let score = Reading::new(&self.task, &outputs)?.score(index);
            Ok(PerturbedRun { activations: first(&outputs.maps(ACTIVATIONS)?).to_owned(), gradients, score })
        };
        of(&mut PerturbedInput { input, activations: activations.view(), run })
    }
}

/// The first `[C,h,w]` of `[N,C,h,w]`.
fn first<'a>(maps: &'a ArrayView4<f32>) -> ArrayView3<'a, f32> {
    maps.index_axis(Axis(0), 0)
}
