//! A model that is ready to run.

use std::path::Path;

use ndarray::ArrayViewD;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{HasSelectedOutputs, RunOptions, SessionInputValue};
use ort::value::TensorRef;
use tracing::trace_span;

use super::blocks::in_blocks;
use super::device::{Compute, Device};
use super::graph_session::GraphSession;
use super::optimised::shared_session;
use super::run_outputs::RunOutputs;
use super::runtime::{Runtime, provider, runtime};
use crate::error::{Error, Result};
use crate::onnx::{DataType, OnnxModel};
use crate::sync::guarded;

/// A model that is ready to run.
pub struct Session {
    inner: GraphSession,
    /// The model's name, for messages.
    model: String,
    reuse: Reuse,
}

/// Outputs that each run writes into the same memory. Apart from saving allocations, this avoids a leak: ort
/// 2.0.0-rc.14, which ort-tract 0.5 requires, leaks the type of each output that the runtime allocates.
enum Reuse {
    /// The runtime does not support it, output shapes depend on input values, or the session runs only once.
    Never,
    NotYet,
    /// The outputs for inputs of these shapes.
    For(Vec<Vec<usize>>, RunOptions<HasSelectedOutputs>),
}

/// An input of a run: an array in standard layout.
pub enum Input<'a> {
    Float(ArrayViewD<'a, f32>),
    Int64(ArrayViewD<'a, i64>),
}

impl Session {
    /// Loads a model and optimises its graph.
    ///
    /// # Errors
    /// The runtime rejects the model, or does not support the device.
    pub fn new(model: &OnnxModel, compute: Compute) -> Result<Self> {
        Self::with_cache(None, model, compute)
    }

    /// As [`Session::new`], but caches the optimised graph in `folder` if the runtime allows it.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn with_cache(folder: Option<&Path>, model: &OnnxModel, compute: Compute) -> Result<Self> {
        let mut session = Self::load(model, compute, GraphOptimizationLevel::All, folder)?;
        let decided = !model.graph().node.iter().any(|node| SHAPED_BY_VALUES.contains(&node.op()));
        if decided && runtime()?.onnx_runtime {
            session.reuse = Reuse::NotYet;
        }
        Ok(session)
    }

    pub(super) fn load(
        model: &OnnxModel,
        compute: Compute,
        level: GraphOptimizationLevel,
        cache: Option<&Path>,
    ) -> Result<Self> {
        let runtime = runtime()?;
        let rejected = |e: ort::Error| {
            let more = if runtime.onnx_runtime {
                ""
            } else {
                "; ONNX Runtime supports more models (`make setup` installs it)"
            };
            let words = first_line(&e);
            let type_missing = runtime.onnx_runtime && words.contains("Could not find an implementation");
            let remedy = if words.contains("_TRT") {
                "; export the model without the ops of TensorRT"
            } else if type_missing {
                "; export the model in float32"
            } else {
                more
            };
            let problem = format!("cannot load model {}: {words}{remedy}", model.name);
            Error::runtime(&runtime.name, problem).caused_by(e)
        };
        let mut builder = settings(compute, level, runtime).map_err(rejected)?;
        if compute.device != Device::Cpu {
            let provider = provider(compute.device, runtime)?;
            builder = builder.with_execution_providers([provider]).map_err(|e| rejected(e.into()))?;
        }
        let on_processor = runtime.onnx_runtime && compute.device == Device::Cpu;
        let faster = (on_processor && level == GraphOptimizationLevel::All).then(|| in_blocks(model)).flatten();
        let bytes = faster.as_ref().unwrap_or(model).to_bytes();
        // Graphs optimised for other devices than the CPU cannot be saved.
        let cache = cache.filter(|_| on_processor);
        let inner = if let Some(shared) = cache.and_then(|folder| shared_session(&bytes, folder, &builder)) {
            shared
        } else {
            // The runtime's bindings panic at an axis of negative length, which the runtime infers for a kernel that is
            // larger than its input.
            let loaded = guarded(|| GraphSession::of_model(builder, &bytes));
            let negative = "it has an axis of negative length; is a kernel larger than its input?";
            loaded.ok_or_else(|| Error::model(&model.name, negative))?.map_err(rejected)?
        };
        Ok(Self { inner, model: model.name.clone(), reuse: Reuse::Never })
    }

    /// The type and shape of each output, with -1 for a length that is not known before a run.
    pub fn output_types(&self) -> Vec<(String, DataType, Vec<i64>)> {
        self.inner.output_types()
    }

    /// Runs the model once.
    ///
    /// # Errors
    /// An input has the wrong name, type, shape or layout, or the runtime fails.
    pub fn run(&mut self, inputs: Vec<(&str, Input)>) -> Result<RunOutputs<'_>> {
        self.run_after(None, &[], inputs)
    }

    /// As [`Session::run`], with the outputs `passed` of an earlier run of another model as further inputs.
    ///
    /// # Errors
    /// As [`Session::run`], or the earlier run lacks one of them.
    pub fn run_after(
        &mut self,
        earlier: Option<&RunOutputs>,
        passed: &[String],
        inputs: Vec<(&str, Input)>,
    ) -> Result<RunOutputs<'_>> {
        let model = self.model.clone();
        let failed = |e: ort::Error| Error::model(&model, format!("the run failed: {}", first_line(&e)));
        let mut values: Vec<(&str, SessionInputValue)> = Vec::with_capacity(inputs.len() + passed.len());
        let mut shapes = Vec::with_capacity(inputs.len() + passed.len());
        for name in passed {
            let value = earlier.and_then(|outputs| outputs.value(name));
            let value = value.ok_or_else(|| Error::model(&self.model, format!("the earlier run gave no {name}")))?;
            shapes.push(value.shape().iter().map(|&length| usize::try_from(length).unwrap_or(0)).collect());
            values.push((name, value.into()));
        }
        for (name, input) in inputs {
            let (shape, value) = match input {
                Input::Float(array) => {
                    (array.shape().to_vec(), TensorRef::from_array_view(array).map(SessionInputValue::from))
                }
                Input::Int64(array) => {
                    (array.shape().to_vec(), TensorRef::from_array_view(array).map(SessionInputValue::from))
                }
            };
            shapes.push(shape);
            values.push((name, value.map_err(failed)?));
        }
        let _span = trace_span!("inference").entered();
        if matches!(&self.reuse, Reuse::For(known, _) if *known != shapes) {
            self.reuse = Reuse::NotYet;
        }
        if let Reuse::NotYet = self.reuse {
            let outputs = self.inner.run(values, None).map_err(failed)?;
            self.reuse = Reuse::For(shapes, outputs.memory().map_err(failed)?);
            return Ok(outputs);
        }
        let options = match &self.reuse {
            Reuse::For(_, options) => Some(options),
            Reuse::NotYet | Reuse::Never => None,
        };
        self.inner.run(values, options).map_err(failed)
    }
}

fn settings(compute: Compute, level: GraphOptimizationLevel, runtime: &Runtime) -> ort::Result<SessionBuilder> {
    let mut builder = ort::session::Session::builder(&runtime.environment)?.with_optimization_level(level)?;
    if runtime.onnx_runtime {
        builder = builder.with_log_level(ort::logging::LogLevel::Fatal)?;
        // A single block for a whole run would be rounded up to the next power of two.
        builder = builder.with_memory_pattern(false)?;
        if compute.threads > 0 {
            builder = builder.with_intra_threads(compute.threads)?;
        }
        builder = builder.with_intra_op_spinning(!compute.shares_processor)?;
    }
    Ok(builder)
}

/// Ops whose output shapes depend on the values of their inputs.
const SHAPED_BY_VALUES: &[&str] =
    &["Compress", "If", "Loop", "NonMaxSuppression", "NonZero", "Scan", "SequenceInsert", "Unique"];

fn first_line(error: &dyn std::fmt::Display) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
