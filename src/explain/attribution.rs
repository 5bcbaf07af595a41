//! Computing the maps of one picture from runs of the model.

use ndarray::{Array2, Array3, ArrayView3, ArrayView4, ArrayViewD, Axis, CowArray, Ix4};
use tracing::trace_span;

use super::explanation::Explanation;
use super::reading::{Explained, Reading, class_scores, familiarity};
use super::remainder_runner::RemainderRunner;
use super::runner::{BackwardRunner, GradientsView, LayerGradient, ModelOutputs, ModelRunner};
use super::tracking::Tracker;
use crate::cam::{
    self, CamMap, Formula, Fusion, Inputs, Layers, Method, PerturbedInput, PerturbedLayer, PerturbedRun, ScoreValue,
};
use crate::error::{Error, Result};
use crate::grad::{ACTIVATIONS, FieldGeometry, GRADIENTS, Probability, ScoreRow, Task, names_of_layer};
use crate::model::{Area, DetectionOptions, Direction, Known, MapGrid, Region, Subject, as_input, channels_first};

/// What is attributed to what, picture after picture.
#[expect(clippy::struct_excessive_bools, reason = "each is a separate property of the model or the request")]
pub struct Attribution {
    pub model: String,
    pub task: Task,
    pub method: &'static Method,
    /// Whether the graph computes the map itself.
    pub in_graph: bool,
    pub subjects: Vec<Subject>,
    /// Which detections count.
    pub detections: DetectionOptions,
    /// Whether one run gives the gradients of all subjects.
    pub batched: bool,
    pub fusion: Fusion,
    /// Whether the run gives the Hessian times the activations. Without it the product is zero.
    pub curvature: bool,
    /// Height and width of the model's input.
    pub input: [usize; 2],
    /// Rows and columns of the map.
    pub grid: MapGrid,
    /// Where the cells of the map lie on the model's input.
    pub geometry: FieldGeometry,
    /// Where those of each layer lie, if there are several; else empty.
    pub layer_geometries: Vec<FieldGeometry>,
    pub known: Option<Known>,
    /// The labels of the classes.
    pub labels: Vec<String>,
    /// The class that a viewer chose among the segments.
    pub focus: Option<usize>,
    /// The part of the picture that a segmenter's score is taken over.
    pub area: Option<Area>,
    /// Which change of a value is explained.
    pub direction: Direction,
    /// Whether maps are signed, whatever the task.
    pub signed: bool,
}

/// What formulas may use next to the run of the whole model.
pub struct Aids<'r> {
    pub remainder: Option<&'r mut RemainderRunner>,
    /// The objects that are followed from picture to picture.
    pub tracker: Option<&'r mut Tracker>,
    /// Width and height of the picture, in its pixels.
    pub picture: [f64; 2],
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
pub enum Source<'s, 'o, 'g> {
    /// The gradient number `row` of a finished run. A detector's gradients come from a run of their own.
    Run { outputs: &'s ModelOutputs<'o>, gradients: GradientsView<'s, 'g>, row: usize },
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
        aids: Aids,
        tensor: ArrayViewD<f32>,
        seen: Region,
    ) -> Result<Explanation> {
        match &self.task {
            Task::Classify(row) | Task::Embed(row) | Task::Value(row) => {
                self.explain_row(row, model, aids, tensor, seen)
            }
            Task::Detect(detection) => self.explain_detections(detection, model, aids, tensor, seen),
            Task::Segment(segmentation) => {
                self.check_area(aids.picture)?;
                self.explain_segments(segmentation, model, aids, tensor, seen)
            }
        }
    }

    fn explain_row(
        &self,
        row: &ScoreRow,
        model: &mut ModelRunner,
        mut aids: Aids,
        tensor: ArrayViewD<f32>,
        seen: Region,
    ) -> Result<Explanation> {
        let asked: Vec<i64> = self.subjects.iter().copied().map(class_index).collect();
        let asked = if self.batched { &asked[..] } else { asked.get(..1).unwrap_or_default() };
        let outputs = model.run(tensor.view(), asked)?;
        let scores = class_scores(row, &outputs)?;
        let familiarity = familiarity(self.known.as_ref(), &outputs)?;
        let indices: Vec<usize> = self.subjects.iter().map(|subject| scores.index_of(*subject)).collect();
        let making = trace_span!("map").entered();
        let mut maps = Vec::with_capacity(indices.len());
        if self.needs_own_runs() {
            drop(outputs);
            for index in indices {
                let source = Source::Rerun { model: &mut *model, tensor: tensor.view() };
                maps.push((index, self.map_of(Explained::Class(index), &mut aids, source)?));
            }
        } else {
            for (row, index) in indices.into_iter().enumerate() {
                let source = Source::Run { outputs: &outputs, gradients: GradientsView::Outputs(&outputs), row };
                maps.push((index, self.map_of(Explained::Class(index), &mut aids, source)?));
            }
        }
        drop(making);
        let predicted = match row.probability {
            Probability::Value => scores.predict_values(maps),
            probability => scores.predict(probability, maps, familiarity),
        };
        let Some((prediction, map)) = predicted else {
            return Err(Error::model(&self.model, "the request names nothing to explain"));
        };
        let region = self.region(seen, map.values.dim());
        Ok(Explanation::new(prediction, map, region, seen))
    }

    /// The part of the picture that the cells of a map cover.
    pub fn region(&self, seen: Region, map: (usize, usize)) -> Region {
        seen.of_map(&self.geometry, map, self.input)
    }

    /// The map of nothing.
    pub(super) fn empty_map(&self) -> CamMap {
        CamMap::new(Array2::zeros((self.grid.height, self.grid.width)))
    }

    /// Whether each subject needs runs of the whole model for itself: one run gives the gradient of one class, that of a number
    /// or the predicted one.
    fn needs_own_runs(&self) -> bool {
        let needs = self.method.needs();
        let one = matches!(self.subjects.as_slice(), [Subject::Class(_) | Subject::Rank(0)]);
        needs.reruns || (needs.gradient && !self.batched && !one)
    }

    /// The map of a score.
    ///
    /// # Errors
    /// The runtime fails, or the explanation is cancelled.
    pub fn map_of(&self, explained: Explained, aids: &mut Aids, source: Source) -> Result<CamMap> {
        let values = self.values_of(explained, aids, source)?;
        if self.is_signed() {
            return Ok(CamMap::signed(values));
        }
        let map = CamMap::rectified(values);
        // Other formulas leave out what speaks against the score.
        let against = map.against.filter(|_| self.method.signed && self.is_of_one_layer());
        Ok(CamMap { against, ..map })
    }

    fn is_of_one_layer(&self) -> bool {
        self.layer_geometries.is_empty()
    }

    /// Whether maps keep what speaks against the score, as negative numbers.
    fn is_signed(&self) -> bool {
        (self.signed || matches!(self.task, Task::Value(_))) && self.method.signed && self.is_of_one_layer()
    }

    /// The map of a score after a run of the model, for a task whose runs are cut in two.
    pub(super) fn map_after(
        &self,
        outputs: &ModelOutputs,
        backward: Option<&mut BackwardRunner>,
        explained: Explained,
        aids: &mut Aids,
    ) -> Result<CamMap> {
        if explained.is_empty() {
            return Ok(self.empty_map());
        }
        let Some(backward) = backward.filter(|_| self.method.needs().gradient) else {
            let gradients = GradientsView::Outputs(outputs);
            return self.map_of(explained, aids, Source::Run { outputs, gradients, row: 0 });
        };
        let gradients = backward.run(outputs, explained)?;
        self.map_of(explained, aids, Source::Run { outputs, gradients: gradients.view(), row: 0 })
    }

    /// Hands each formula what its method declares.
    fn values_of(&self, explained: Explained, aids: &mut Aids, source: Source) -> Result<Array2<f32>> {
        match (self.method.inputs, source) {
            (Inputs::InputGradients(of) | Inputs::InputScores(of), Source::Rerun { model, tensor }) => {
                self.perturb_input(of, explained, model, tensor, aids.cancelled)
            }
            (_, Source::Rerun { model, tensor }) => {
                let outputs = &model.run(tensor, &[explained.class_index()])?;
                let gradients = GradientsView::Outputs(outputs);
                self.values_of(explained, aids, Source::Run { outputs, gradients, row: 0 })
            }
            (Inputs::InputGradients(_) | Inputs::InputScores(_), Source::Run { .. }) => {
                Err(Error::model(&self.model, format!("{} needs further runs", self.method.name)))
            }
            (_, Source::Run { gradients, .. }) if self.in_graph => gradients.cam(),
            (Inputs::Attention(_), Source::Run { outputs, .. }) => outputs.cam(),
            (Inputs::Gradients(of), Source::Run { outputs, gradients, row }) => {
                self.fused_map(of, outputs, gradients, row)
            }
            (Inputs::Activations(of), Source::Run { outputs, .. }) => Ok(of(first(&outputs.maps(ACTIVATIONS)?))),
            (Inputs::Curvature(of), Source::Run { outputs, gradients, row }) => {
                let (activations, slopes) = (outputs.maps(ACTIVATIONS)?, self.whole_gradients(gradients)?);
                let (activations, slopes) = (first(&activations), slopes.index_axis(Axis(0), row));
                if self.curvature {
                    return Ok(of(activations, slopes, first(&gradients.curvature()?)));
                }
                Ok(of(activations, slopes, Array3::zeros(slopes.dim()).view()))
            }
            (Inputs::PerturbedLayer(of), Source::Run { outputs, .. }) => {
                self.perturb_layer(of, explained, outputs, aids)
            }
        }
    }

    /// The map of one run over all layers.
    fn fused_map(
        &self,
        of: Formula,
        outputs: &ModelOutputs,
        gradients: GradientsView,
        row: usize,
    ) -> Result<Array2<f32>> {
        let map = |layer: usize| {
            let further = names_of_layer(layer);
            let activations = outputs.maps(if layer == 0 { ACTIVATIONS } else { &further[0] })?;
            let activations = first(&activations);
            let gradients = match gradients.of_layer(layer)? {
                LayerGradient::Whole(gradients) => gradients,
                LayerGradient::Zero => {
                    return Ok(Array2::zeros((activations.len_of(Axis(1)), activations.len_of(Axis(2)))));
                }
                LayerGradient::Part(part) if self.method.local => {
                    let map = of(part.part_of(activations), part.values.index_axis(Axis(0), 0));
                    return Ok(part.enlarged(&map));
                }
                LayerGradient::Part(part) => return Ok(of(activations, first(&part.whole().view()))),
            };
            let gradients = gradients.outer_iter().nth(row);
            let gradients = gradients.ok_or_else(|| Error::model(&self.model, "the run gave too few gradients"))?;
            Ok(of(activations, gradients))
        };
        if self.is_of_one_layer() {
            return map(0);
        }
        let maps =
            (0..self.layer_geometries.len()).map(|layer| Ok(cam::rectified(map(layer)?))).collect::<Result<_>>()?;
        let (fusion, gain) = match self.method.layers {
            // The heads of a detector lie side by side, so that none is early.
            Layers::Lifted { gain } if self.task.as_detection().is_none() => (self.fusion, Some(gain)),
            Layers::One | Layers::Lifted { .. } => (self.fusion, None),
            Layers::EachGrid => (Fusion::Product, None),
        };
        let part = |layer: usize, size| self.layer_geometries[layer].part_under(&self.geometry, size);
        cam::fused(maps, part, fusion, gain)
    }

    /// The gradients by the only layer, `[N,C,h,w]`.
    fn whole_gradients<'g>(&self, gradients: GradientsView<'g, '_>) -> Result<CowArray<'g, f32, Ix4>> {
        match gradients.of_layer(0)? {
            LayerGradient::Whole(gradients) => Ok(gradients.into()),
            LayerGradient::Part(part) => Ok(part.whole().into()),
            LayerGradient::Zero => Err(Error::model(&self.model, "the run gave no gradients")),
        }
    }

    /// The score that is explained: of a value that is to fall, its negative.
    fn scored(&self, reading: &Reading, explained: Explained) -> ScoreValue {
        let ScoreValue { logit, probability } = reading.score(explained);
        match self.direction {
            Direction::Up => ScoreValue { logit, probability },
            Direction::Down => ScoreValue { logit: -logit, probability: -probability },
        }
    }

    /// A map from runs of the remainder on changed activations.
    fn perturb_layer(
        &self,
        of: fn(&mut PerturbedLayer) -> Result<Array2<f32>>,
        explained: Explained,
        outputs: &ModelOutputs,
        aids: &mut Aids,
    ) -> Result<Array2<f32>> {
        let cancelled = aids.cancelled;
        let Some(remainder) = aids.remainder.as_deref_mut() else {
            return Err(Error::model(&self.model, "it was augmented without the layers after the target"));
        };
        let side_inputs = remainder.side_inputs(outputs)?;
        let run = &mut |batch: ArrayView4<f32>| {
            check(cancelled)?;
            let rows = remainder.run(batch, &side_inputs)?;
            Ok(rows.outer_iter().map(|row| self.scored(&Reading::of_row(&self.task, row), explained)).collect())
        };
        let activations = outputs.maps(ACTIVATIONS)?;
        let score = self.scored(&Reading::new(&self.task, outputs)?, explained);
        of(&mut PerturbedLayer { activations: first(&activations), score, run })
    }

    /// A map from runs of the whole model on changed inputs.
    fn perturb_input(
        &self,
        of: fn(&mut PerturbedInput) -> Result<Array2<f32>>,
        explained: Explained,
        model: &mut ModelRunner,
        tensor: ArrayViewD<f32>,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Array2<f32>> {
        let class = [explained.class_index()];
        let activations = first(&model.run(tensor.view(), &class)?.maps(ACTIVATIONS)?).to_owned();
        let channels_last = model.channels_last;
        let input = channels_first(tensor, channels_last)?;
        let run = &mut |copy: Array3<f32>| {
            check(cancelled)?;
            let (outputs, backward) = model.run_forward(as_input(copy.view(), channels_last).view(), &class)?;
            let gradients = match backward {
                _ if !self.method.needs().gradient => Array3::default([0, 0, 0]),
                Some(backward) => {
                    let gradients = backward.run(&outputs, explained)?;
                    first(&self.whole_gradients(gradients.view())?.view()).to_owned()
                }
                None => first(&outputs.maps(GRADIENTS)?).to_owned(),
            };
            let score = self.scored(&Reading::new(&self.task, &outputs)?, explained);
            Ok(PerturbedRun { activations: first(&outputs.maps(ACTIVATIONS)?).to_owned(), gradients, score })
        };
        of(&mut PerturbedInput { input, activations: activations.view(), run })
    }
}

/// The first `[C,h,w]` of `[N,C,h,w]`.
fn first<'a>(maps: &'a ArrayView4<f32>) -> ArrayView3<'a, f32> {
    maps.index_axis(Axis(0), 0)
}
