//! The layers after the target, ready to run.

use ndarray::{Array2, Array4, ArrayD, ArrayView4, Axis, Ix2};

use super::runner::ModelOutputs;
use crate::error::{Error, Result};
use crate::grad::{LOGITS, REMAINDER_INPUT, Remainder, side_input_name};
use crate::session::{Compute, Input, Session};

/// The layers after the target, ready to run.
pub struct RemainderRunner {
    session: Session,
    /// The output with a row of scores for each picture.
    output: &'static str,
    side_inputs: Vec<String>,
    /// Why its graph takes one activation at a time, if it does.
    pub one_at_a_time: Option<Error>,
}

impl RemainderRunner {
    /// Loads the remainder, and tries whether its graph takes several activations at once.
    ///
    /// # Errors
    /// The runtime rejects the model.
    pub fn new(remainder: &Remainder, compute: Compute) -> Result<Self> {
        let side_inputs = remainder.side_inputs.iter().map(|tensor| side_input_name(tensor)).collect();
        let session = Session::new(&remainder.model, compute)?;
        let mut runner = Self { session, output: remainder.output, side_inputs, one_at_a_time: None };
        let [c, h, w] = remainder.layer_shape;
        let side_inputs: Vec<ArrayD<f32>> =
            remainder.side_shapes.iter().map(|shape| ArrayD::zeros(shape.as_slice())).collect();
        let two = Array4::zeros((2, c, h, w));
        runner.one_at_a_time = match runner.run_batch(two.view(), &side_inputs) {
            Ok(logits) if logits.nrows() == 2 => None,
            Ok(logits) => Some(Error::model(LOGITS, format!("two activations gave {} rows", logits.nrows()))),
            Err(error) => Some(error),
        };
        Ok(runner)
    }

    /// What the remainder takes next to the activations, from a run of the whole model.
    ///
    /// # Errors
    /// The whole model does not give it.
    pub fn side_inputs(&self, outputs: &ModelOutputs) -> Result<Vec<ArrayD<f32>>> {
        self.side_inputs.iter().map(|name| outputs.copy_of(name)).collect()
    }

    /// The logits `[B,K]` for activations `[B,C,h,w]`.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn run(&mut self, activations: ArrayView4<f32>, side_inputs: &[ArrayD<f32>]) -> Result<Array2<f32>> {
        if self.one_at_a_time.is_none() {
            let (batch, rows) = (activations.len_of(Axis(0)), self.run_batch(activations, side_inputs)?);
            if rows.nrows() == batch {
                return Ok(rows);
            }
            return Err(Error::model(LOGITS, format!("{batch} activations gave {} rows", rows.nrows())));
        }
        let rows = activations.axis_chunks_iter(Axis(0), 1).map(|one| self.run_batch(one, side_inputs));
        let rows = rows.collect::<Result<Vec<_>>>()?;
        let rows: Vec<_> = rows.iter().map(|row| row.view()).collect();
        ndarray::concatenate(Axis(0), &rows).map_err(|e| Error::model(LOGITS, e))
    }

    fn run_batch(&mut self, activations: ArrayView4<f32>, side_inputs: &[ArrayD<f32>]) -> Result<Array2<f32>> {
        let activations = activations.into_dyn();
        let activations = activations.as_standard_layout();
        let mut inputs = vec![(REMAINDER_INPUT, Input::Float(activations.view()))];
        let sides = self.side_inputs.iter().zip(side_inputs);
        inputs.extend(sides.map(|(name, value)| (name.as_str(), Input::Float(value.view()))));
        let outputs = self.session.run(inputs)?;
        let rows =
            outputs.floats(self.output)?.into_dimensionality::<Ix2>().map_err(|e| Error::model(self.output, e))?;
        Ok(rows.to_owned())
    }
}
