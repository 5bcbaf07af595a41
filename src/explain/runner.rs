//! A model in the runtime, one picture at a time.

use ndarray::{Array1, Array2, ArrayD, ArrayView1, ArrayView4, ArrayViewD, Axis, CowArray, Ix2, Ix4};

use super::reading::Explained;
use super::windows::{LayerGradients, PartialGradient, Windows};
use crate::error::{Error, Result};
use crate::grad::{CLASS_INDEX, CURVATURE, Detection, GRADIENTS, LOGITS, Segmentation, names_of_layer};
use crate::model::{AugmentedModel, InputSpec, Layout};
use crate::onnx::proto::ValueInfo;
use crate::onnx::{DataType, OnnxModel, Split, keep_outputs, split_at};
use crate::session::{Compute, Input, RunOutputs, Session};

/// A model, ready to run.
pub struct ModelRunner {
    session: Session,
    input: String,
    /// The shape of the model's input, with the batch that the model wants.
    pub shape: Vec<usize>,
    pub channels_last: bool,
    takes_class: bool,
    /// What follows once it is known what is explained.
    backward: Option<BackwardRunner>,
}

/// The part of a model that depends on what is explained.
pub enum BackwardRunner {
    /// The whole backward pass.
    Whole {
        session: Session,
        /// What it takes of the run before.
        passed: Vec<String>,
        batch: usize,
        /// The tensor at which the model is cut.
        at: &'static str,
    },
    /// The heads, each on a window around a box.
    Windows(Windows),
}

/// The gradients of a run, by each layer.
pub enum Gradients<'s> {
    Outputs(ModelOutputs<'s>),
    Layers(LayerGradients),
}

impl ModelRunner {
    /// An augmented model that explains `classes` classes a run.
    ///
    /// # Errors
    /// The runtime rejects the model.
    pub fn new(augmented: &AugmentedModel, classes: usize, compute: Compute) -> Result<Self> {
        let batched = augmented.extras.batched_classes.then_some(classes);
        let AugmentedModel { model, manifest, input, cache, .. } = augmented;
        let (model, shape) = fixed(model.clone(), input, &manifest.input, batched);
        let cache = cache.as_deref();
        let cut = augmented.task.cut().filter(|_| takes(&model, augmented.task.index_input().0));
        let Some((at, kind, dims)) = cut else {
            let session = Session::with_cache(cache, &model, compute)?;
            return Ok(Self::of_session(session, &model, input, shape, &manifest.input));
        };
        let Split { before, mut after, passed } = split_at(&model, at, kind, &dims);
        if Windows::fit(augmented) {
            let own = |output: &str| model.graph().output.iter().any(|own| own.name() == output);
            let alone = keep_outputs(&before, own);
            let session = Session::with_cache(cache, &alone, compute)?;
            if let Some(windows) = Windows::cut(augmented, &session.output_types(), compute) {
                let runner = Self::of_session(session, &alone, input, shape, &manifest.input);
                return Ok(Self { backward: Some(BackwardRunner::Windows(windows)), ..runner });
            }
        }
        let session = Session::with_cache(cache, &before, compute)?;
        let types = session.output_types();
        for name in &passed {
            let Some((_, kind, dims)) = types.iter().find(|(output, ..)| output == name) else {
                return Err(model.error(format!("the runtime does not tell the type of {name}")));
            };
            after.add_typed_input(name, *kind, dims);
        }
        let batch = shape[0];
        let session_after = Session::with_cache(cache, &after, compute)?;
        let backward = BackwardRunner::Whole { session: session_after, passed, batch, at };
        let runner = Self::of_session(session, &before, input, shape, &manifest.input);
        Ok(Self { backward: Some(backward), ..runner })
    }

    /// A model without a backward pass.
    ///
    /// # Errors
    /// The runtime rejects the model.
    pub fn plain(model: OnnxModel, input: &str, spec: &InputSpec, compute: Compute) -> Result<Self> {
        let (mut model, shape) = fixed(model, input, spec, None);
        let cuts = [(Detection::ENTRIES, DataType::Int64), (Segmentation::SEED, DataType::Float)];
        if let Some((at, kind)) = cuts.into_iter().find(|(at, _)| model.has_tensor(at)) {
            // A model that is augmented already, without its backward pass.
            let own = |output: &str| model.graph().output.iter().any(|own| own.name() == output);
            let before = split_at(&model, at, kind, &[]).before;
            model = keep_outputs(&before, own);
        }
        Ok(Self::of_session(Session::new(&model, compute)?, &model, input, shape, spec))
    }

    fn of_session(session: Session, model: &OnnxModel, input: &str, shape: Vec<usize>, spec: &InputSpec) -> Self {
        let takes_class = takes(model, CLASS_INDEX);
        let channels_last = spec.layout == Layout::ChannelsLast;
        Self { session, input: input.to_owned(), shape, channels_last, takes_class, backward: None }
    }

    /// Runs the model on one picture, which fills a fixed batch, for the classes in `class_index`.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn run(&mut self, tensor: ArrayViewD<f32>, classes: &[i64]) -> Result<ModelOutputs<'_>> {
        Ok(self.run_forward(tensor, classes)?.0)
    }

    /// As [`ModelRunner::run`], and for a detector or segmenter also what follows once it is known what is explained.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn run_forward(
        &mut self,
        tensor: ArrayViewD<f32>,
        classes: &[i64],
    ) -> Result<(ModelOutputs<'_>, Option<&mut BackwardRunner>)> {
        let batch = match self.shape[0] {
            1 => CowArray::from(tensor),
            _ => tensor.broadcast(self.shape.as_slice()).map_or(CowArray::from(tensor.view()), |t| t.to_owned().into()),
        };
        let classes = match classes {
            [one] => Array1::from_elem(self.shape[0], *one),
            several => Array1::from_vec(several.to_vec()),
        };
        let classes = classes.into_dyn();
        let mut inputs = vec![(self.input.as_str(), Input::Float(batch.view()))];
        if self.takes_class {
            inputs.push((CLASS_INDEX, Input::Int64(classes.view())));
        }
        Ok((ModelOutputs(self.session.run(inputs)?), self.backward.as_mut()))
    }
}

impl BackwardRunner {
    /// The gradients, or the map, of what is explained of the picture of an earlier run.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn run(&mut self, earlier: &ModelOutputs, explained: Explained) -> Result<Gradients<'_>> {
        let (session, passed, batch, at) = match (self, explained) {
            (Self::Whole { session, passed, batch, at }, _) => (session, passed, *batch, *at),
            (Self::Windows(windows), Explained::Entries(entries)) => {
                let layers = windows.gradients(earlier, &[entries])?.pop();
                return Ok(Gradients::Layers(layers.unwrap_or_default()));
            }
            (Self::Windows(_), _) => return Err(Error::model(Detection::INDEX, "no detection is asked for")),
        };
        let none = || Error::model(at, "nothing is asked for");
        let (entries, seeds);
        let asked = match explained {
            Explained::Entries(row) => {
                let row = Array1::from_vec(row.to_vec());
                let rows = row.broadcast((batch, row.len())).map(|rows| rows.to_owned().into_dyn());
                entries = rows.ok_or_else(none)?;
                Input::Int64(entries.view())
            }
            Explained::Cells { seed, .. } => {
                let shape = [&[batch], &seed.shape()[1..]].concat();
                seeds = seed.broadcast(shape).ok_or_else(none)?.as_standard_layout().into_owned();
                Input::Float(seeds.view())
            }
            Explained::Class(_) => return Err(none()),
        };
        let run = session.run_after(Some(&earlier.0), passed, vec![(at, asked)])?;
        Ok(Gradients::Outputs(ModelOutputs(run)))
    }
}

/// The gradients by one layer.
pub enum LayerGradient<'s> {
    /// `[N,C,h,w]`.
    Whole(ArrayView4<'s, f32>),
    Part(&'s PartialGradient),
    Zero,
}

/// The gradients of a run, wherever they are.
#[derive(Clone, Copy)]
pub enum GradientsView<'s, 'o> {
    Outputs(&'s ModelOutputs<'o>),
    Layers(&'s LayerGradients),
}

impl<'o> Gradients<'o> {
    pub fn view(&self) -> GradientsView<'_, 'o> {
        match self {
            Self::Outputs(outputs) => GradientsView::Outputs(outputs),
            Self::Layers(layers) => GradientsView::Layers(layers),
        }
    }
}

impl<'s> GradientsView<'s, '_> {
    /// The gradients by a layer, counted from 0.
    ///
    /// # Errors
    /// The run gave none.
    pub fn of_layer(self, number: usize) -> Result<LayerGradient<'s>> {
        Ok(match self {
            Self::Outputs(outputs) if number == 0 => LayerGradient::Whole(outputs.maps(GRADIENTS)?),
            Self::Outputs(outputs) => LayerGradient::Whole(outputs.maps(&names_of_layer(number)[1])?),
            Self::Layers(layers) => {
                layers.get(number).and_then(Option::as_ref).map_or(LayerGradient::Zero, LayerGradient::Part)
            }
        })
    }

    /// The map `[h,w]`, by a model that computes it in the graph.
    ///
    /// # Errors
    /// The run gave none.
    pub fn cam(self) -> Result<Array2<f32>> {
        match self {
            Self::Outputs(outputs) => outputs.cam(),
            Self::Layers(_) => Err(Error::model(AugmentedModel::CAM, "windows give gradients alone")),
        }
    }

    /// The Hessian times the activations, `[N,C,h,w]`.
    ///
    /// # Errors
    /// The run gave none.
    pub fn curvature(self) -> Result<ArrayView4<'s, f32>> {
        match self {
            Self::Outputs(outputs) => outputs.maps(CURVATURE),
            Self::Layers(_) => Err(Error::model(CURVATURE, "windows give gradients alone")),
        }
    }
}

fn takes(model: &OnnxModel, input: &str) -> bool {
    model.graph().input.iter().any(|info| info.name() == input)
}

/// The model with all input shapes fixed, which a runtime optimises best, and the shape of its picture input.
/// `batched_classes` is the number of classes that it takes for one picture.
fn fixed(
    mut model: OnnxModel,
    input: &str,
    spec: &InputSpec,
    batched_classes: Option<usize>,
) -> (OnnxModel, Vec<usize>) {
    let mut shape = spec.shape();
    let stated = model.graph().input.iter().find(|info| info.name() == input);
    shape[0] = stated.map_or(1, ValueInfo::batch);
    for info in &mut model.graph_mut().input {
        if info.name() == CLASS_INDEX {
            info.set_dims(&[batched_classes.unwrap_or(shape[0])]);
        } else if info.name() == input {
            info.set_dims(&shape);
        }
    }
    model.take_float32(input);
    (model, shape)
}

/// The outputs of one run of the whole model.
pub struct ModelOutputs<'s>(RunOutputs<'s>);

impl ModelOutputs<'_> {
    /// The logits `[K]` of the first picture.
    ///
    /// # Errors
    /// The run gave none.
    pub fn logits(&self) -> Result<ArrayView1<'_, f32>> {
        let logits = self.0.floats(LOGITS)?.into_dimensionality::<Ix2>().map_err(|e| Error::model(LOGITS, e))?;
        Ok(logits.index_axis_move(Axis(0), 0))
    }

    /// The first number of an output.
    ///
    /// # Errors
    /// The model has no such output, or it is empty.
    pub fn first(&self, name: &str) -> Result<f32> {
        let first = self.0.floats(name)?.first().copied();
        first.ok_or_else(|| Error::model(name, "the run gave an empty output"))
    }

    /// The map `[h,w]` of the first picture, by a model that computes it in the graph.
    ///
    /// # Errors
    /// The run gave none.
    pub fn cam(&self) -> Result<Array2<f32>> {
        let map = self.0.floats(AugmentedModel::CAM)?.index_axis_move(Axis(0), 0).into_dimensionality::<Ix2>();
        Ok(map.map_err(|e| Error::model(AugmentedModel::CAM, e))?.to_owned())
    }

    /// An output `[N,C,h,w]`.
    ///
    /// # Errors
    /// The model has no such output.
    pub fn maps(&self, name: &str) -> Result<ArrayView4<'_, f32>> {
        self.0.floats(name)?.into_dimensionality::<Ix4>().map_err(|e| Error::model(name, e))
    }

    /// An output.
    ///
    /// # Errors
    /// The model has no such output.
    pub fn floats(&self, name: &str) -> Result<ArrayViewD<'_, f32>> {
        self.0.floats(name)
    }

    /// Any output, copied.
    ///
    /// # Errors
    /// The model has no such output.
    pub fn copy_of(&self, name: &str) -> Result<ArrayD<f32>> {
        Ok(self.0.floats(name)?.to_owned())
    }
}
