//! A prepared model in the runtime, one picture at a time, and the part behind its target layer.

use ndarray::{Array1, Array2, Array4, ArrayD, ArrayView1, ArrayView4, ArrayViewD, Axis, CowArray, Ix2, Ix4};

use crate::analysis::Prepared;
use crate::device::Compute;
use crate::error::{Error, Result};
use crate::grad::{CLASS_INDEX, Explained, TAIL_INPUT, Tail, taken};
use crate::manifest::Layout;
use crate::onnx::proto::ValueInfo;
use crate::session::{Input, Outputs, Session};

const NAMES: Explained = Explained::NAMES;

/// The whole model.
pub struct Runner {
    session: Session,
    input: String,
    /// Of the model's input, with the batch that the model wants.
    pub shape: Vec<usize>,
    pub channels_last: bool,
    takes_class: bool,
}

impl Runner {
    /// For one picture at a time, since fixed shapes are what a runtime optimises best, and for so many
    /// classes where the model takes several for one picture.
    ///
    /// # Errors
    /// The runtime does not take the model.
    pub fn new(prepared: &Prepared, classes: usize, compute: Compute) -> Result<Self> {
        let mut model = prepared.model.clone();
        let input = prepared.input.clone();
        let mut shape = prepared.manifest.input.shape();
        let stated = model.graph().input.iter().find(|info| info.name() == input);
        shape[0] = stated.map_or(1, ValueInfo::batch);
        let mut takes_class = false;
        for info in &mut model.graph_mut().input {
            if info.name() == CLASS_INDEX {
                takes_class = true;
                info.set_dims(&[if prepared.several { classes } else { shape[0] }]);
            } else if info.name() == input {
                info.set_dims(&shape);
            }
        }
        model.take_float32(&input);
        let channels_last = prepared.manifest.input.layout == Layout::ChannelsLast;
        let session = Session::kept_in(prepared.kept_in.as_deref(), &model, compute)?;
        Ok(Self { session, input, shape, channels_last, takes_class })
    }

    /// Runs the model on one picture, which stands for all of a fixed batch, for one class or several.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn run(&mut self, tensor: ArrayViewD<f32>, classes: &[i64]) -> Result<Run<'_>> {
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
        Ok(Run(self.session.run(inputs)?))
    }
}

/// What one run of the whole model gave.
pub struct Run<'s>(Outputs<'s>);

impl Run<'_> {
    /// The logits `[K]` of the first picture.
    ///
    /// # Errors
    /// The model gave none.
    pub fn logits(&self) -> Result<ArrayView1<'_, f32>> {
        let logits =
            self.0.floats(NAMES.logits)?.into_dimensionality::<Ix2>().map_err(|e| Error::model(NAMES.logits, e))?;
        Ok(logits.index_axis_move(Axis(0), 0))
    }

    /// The first number of an output.
    ///
    /// # Errors
    /// The model has no such output, or it is empty.
    pub fn first(&self, name: &str) -> Result<f32> {
        let first = self.0.floats(name)?.first().copied();
        first.ok_or_else(|| Error::model(name, "the run gave no number there"))
    }

    /// The map `[h,w]` of the first picture, by a model that makes it itself.
    ///
    /// # Errors
    /// The model gave none.
    pub fn cam(&self) -> Result<Array2<f32>> {
        let map = self.0.floats(Prepared::CAM)?.index_axis_move(Axis(0), 0).into_dimensionality::<Ix2>();
        Ok(map.map_err(|e| Error::model(Prepared::CAM, e))?.to_owned())
    }

    /// An output `[N,C,h,w]`.
    ///
    /// # Errors
    /// The model has no such output.
    pub fn maps(&self, name: &str) -> Result<ArrayView4<'_, f32>> {
        self.0.floats(name)?.into_dimensionality::<Ix4>().map_err(|e| Error::model(name, e))
    }
}

/// The part behind the target layer.
pub struct TailRunner {
    session: Session,
    beside: Vec<String>,
    /// Whether its graph can run on several activations at once.
    batched: bool,
}

impl TailRunner {
    /// # Errors
    /// The runtime does not take the model.
    pub fn new(tail: Tail, compute: Compute) -> Result<Self> {
        let beside = tail.beside.iter().map(|tensor| taken(tensor)).collect();
        Ok(Self { session: Session::new(&tail.model, compute)?, beside, batched: true })
    }

    /// What the tail takes beside the activations, from a run of the whole model.
    ///
    /// # Errors
    /// The whole model does not give it.
    pub fn beside(&self, outputs: &Run) -> Result<Vec<ArrayD<f32>>> {
        self.beside.iter().map(|name| Ok(outputs.0.floats(name)?.to_owned())).collect()
    }

    /// The logits `[B,K]` for activations `[B,C,h,w]`.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn run(&mut self, activations: Array4<f32>, beside: &[ArrayD<f32>]) -> Result<Array2<f32>> {
        if self.batched {
            match self.run_batch(activations.view(), beside) {
                Ok(logits) if logits.nrows() == activations.dim().0 => return Ok(logits),
                Err(e) if activations.dim().0 == 1 => return Err(e),
                Ok(_) | Err(_) => self.batched = false,
            }
        }
        let rows = activations.axis_chunks_iter(Axis(0), 1).map(|one| self.run_batch(one, beside));
        let rows = rows.collect::<Result<Vec<_>>>()?;
        let rows: Vec<_> = rows.iter().map(|row| row.view()).collect();
        ndarray::concatenate(Axis(0), &rows).map_err(|e| Error::model(NAMES.logits, e))
    }

    fn run_batch(&mut self, activations: ArrayView4<f32>, beside: &[ArrayD<f32>]) -> Result<Array2<f32>> {
        let activations = activations.into_dyn();
        let activations = activations.as_standard_layout();
        let mut inputs = vec![(TAIL_INPUT, Input::Float(activations.view()))];
        inputs.extend(self.beside.iter().zip(beside).map(|(name, value)| (name.as_str(), Input::Float(value.view()))));
        let outputs = self.session.run(inputs)?;
        let logits =
            outputs.floats(NAMES.logits)?.into_dimensionality::<Ix2>().map_err(|e| Error::model(NAMES.logits, e))?;
        Ok(logits.to_owned())
    }
}
