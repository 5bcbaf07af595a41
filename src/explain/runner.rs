//! A model in the runtime, one picture at a time.

use ndarray::{Array1, Array2, ArrayD, ArrayView1, ArrayView4, ArrayViewD, Axis, CowArray, Ix2, Ix4};

use crate::error::{Error, Result};
use crate::grad::{CLASS_INDEX, LOGITS};
use crate::model::{AugmentedModel, InputSpec, Layout};
use crate::onnx::OnnxModel;
use crate::onnx::proto::ValueInfo;
use crate::session::{Compute, Input, RunOutputs, Session};

/// A model, ready to run.
pub struct ModelRunner {
    session: Session,
    input: String,
    /// The shape of the model's input, with the batch that the model wants.
    pub shape: Vec<usize>,
    pub channels_last: bool,
    takes_class: bool,
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
        let session = Session::with_cache(cache.as_deref(), &model, compute)?;
        Ok(Self::of_session(session, &model, input, shape, &manifest.input))
    }

    /// A model without a backward pass.
    ///
    /// # Errors
    /// The runtime rejects the model.
    pub fn plain(model: OnnxModel, input: &str, spec: &InputSpec, compute: Compute) -> Result<Self> {
        let (model, shape) = fixed(model, input, spec, None);
        Ok(Self::of_session(Session::new(&model, compute)?, &model, input, shape, spec))
    }

    fn of_session(session: Session, model: &OnnxModel, input: &str, shape: Vec<usize>, spec: &InputSpec) -> Self {
        let takes_class = model.graph().input.iter().any(|info| info.name() == CLASS_INDEX);
        let channels_last = spec.layout == Layout::ChannelsLast;
        Self { session, input: input.to_owned(), shape, channels_last, takes_class }
    }

    /// Runs the model on one picture, which fills a fixed batch, for the classes in `class_index`.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn run(&mut self, tensor: ArrayViewD<f32>, classes: &[i64]) -> Result<ModelOutputs<'_>> {
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
        Ok(ModelOutputs(self.session.run(inputs)?))
    }
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

    /// Any output, copied.
    ///
    /// # Errors
    /// The model has no such output.
    pub fn copy_of(&self, name: &str) -> Result<ArrayD<f32>> {
        Ok(self.0.floats(name)?.to_owned())
    }
}
