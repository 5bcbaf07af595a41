//! Running a model. The only folder that names the inference runtime.

mod optimised;
mod probe;
mod runtime;

use std::path::Path;

use ndarray::ArrayViewD;
use ort::memory::Allocator;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, SessionInputValue, SessionOutputs};
use ort::value::{Tensor, TensorElementType, TensorRef, ValueType};
use tracing::trace_span;

use optimised::Optimised;
pub use probe::probe;
use runtime::provider;
pub use runtime::{Runtime, runtime};

use crate::device::{Compute, Device};
use crate::error::{Error, Result};
use crate::grad::TensorInfo;
use crate::onnx::{DataType, OnnxModel};

/// A model that is ready to run.
pub struct Session {
    // Before the graph that it reads its weights from, so that it goes first.
    inner: ort::session::Session,
    _graph: Option<Optimised>,
    model: String,
    reuse: Reuse,
}

/// Outputs that are written into the same memory run after run. It saves allocating them, and ort 2.0.0-rc.14,
/// which ort-tract 0.5 asks for, leaks the type of each output that the runtime allocates.
enum Reuse {
    /// The runtime cannot, the shapes of outputs depend on more than those of inputs, or there is but one run.
    Never,
    NotYet,
    /// For inputs of these shapes.
    For(Vec<Vec<usize>>, RunOptions<HasSelectedOutputs>),
}

/// What a run takes: an array in standard layout, of float32 or int64.
pub enum Input<'a> {
    Float(ArrayViewD<'a, f32>),
    Int64(ArrayViewD<'a, i64>),
}

/// The outputs of one run, in the runtime's memory.
pub struct Outputs<'s> {
    inner: SessionOutputs<'s>,
}

impl Session {
    /// Loads a model with its graph optimised.
    ///
    /// # Errors
    /// The runtime does not take the model, or has not the device.
    pub fn new(model: &OnnxModel, compute: Compute) -> Result<Self> {
        Self::kept_in(None, model, compute)
    }

    /// As [`Session::new`], with the optimised graph kept in a folder as far as that is possible.
    ///
    /// # Errors
    /// The same.
    pub fn kept_in(folder: Option<&Path>, model: &OnnxModel, compute: Compute) -> Result<Self> {
        let mut session = Self::load(model, compute, GraphOptimizationLevel::All, folder)?;
        let decided = !model.graph().node.iter().any(|node| SHAPED_BY_VALUES.contains(&node.op()));
        if decided && runtime()?.onnx_runtime {
            session.reuse = Reuse::NotYet;
        }
        Ok(session)
    }

    fn load(
        model: &OnnxModel,
        compute: Compute,
        level: GraphOptimizationLevel,
        kept_in: Option<&Path>,
    ) -> Result<Self> {
        let runtime = runtime()?;
        let refused = |e: ort::Error| Error::Runtime {
            runtime: runtime.name.clone(),
            problem: format!(
                "cannot load model {}: {}{}",
                model.name,
                first_line(&e),
                if runtime.onnx_runtime { "" } else { "; ONNX Runtime takes more models (`make setup` installs it)" }
            ),
        };
        let mut builder = settings(compute, level, runtime).map_err(refused)?;
        if compute.device != Device::Cpu {
            let provider = provider(compute.device, runtime)?;
            builder = builder.with_execution_providers([provider]).map_err(|e| refused(e.into()))?;
        }
        let bytes = model.to_bytes();
        // What other devices have made of a graph cannot be written down.
        let kept_in = kept_in.filter(|_| runtime.onnx_runtime && compute.device == Device::Cpu);
        let graph = kept_in.and_then(|folder| Optimised::of(&bytes, folder, builder.clone()));
        let loaded = graph.and_then(|graph| Some((graph.load(builder.clone()).ok()?, Some(graph))));
        let (inner, graph) = match loaded {
            Some(loaded) => loaded,
            None => (builder.commit_from_memory(&bytes).map_err(refused)?, None),
        };
        Ok(Self { inner, _graph: graph, model: model.name.clone(), reuse: Reuse::Never })
    }

    /// Runs the model once.
    ///
    /// # Errors
    /// An input has the wrong name, type, shape or layout, or the runtime fails.
    pub fn run(&mut self, inputs: Vec<(&str, Input)>) -> Result<Outputs<'_>> {
        let model = self.model.clone();
        let failed = |e: ort::Error| Error::model(&model, format!("the run failed: {}", first_line(&e)));
        let mut values: Vec<(&str, SessionInputValue)> = Vec::with_capacity(inputs.len());
        let mut shapes = Vec::with_capacity(inputs.len());
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
            let outputs = Outputs { inner: self.inner.run(values).map_err(failed)? };
            self.reuse = Reuse::For(shapes, outputs.memory().map_err(failed)?);
            return Ok(outputs);
        }
        let run = match &self.reuse {
            Reuse::For(_, options) => self.inner.run_with_options(values, options),
            Reuse::NotYet | Reuse::Never => self.inner.run(values),
        };
        Ok(Outputs { inner: run.map_err(failed)? })
    }
}

fn settings(compute: Compute, level: GraphOptimizationLevel, runtime: &Runtime) -> ort::Result<SessionBuilder> {
    let mut builder = ort::session::Session::builder(&runtime.environment)?.with_optimization_level(level)?;
    if runtime.onnx_runtime {
        builder = builder.with_log_level(ort::logging::LogLevel::Fatal)?;
        // One block for all of a run is rounded up to the next power of two.
        builder = builder.with_memory_pattern(false)?;
        if compute.threads > 0 {
            builder = builder.with_intra_threads(compute.threads)?;
        }
    }
    Ok(builder)
}

/// Ops whose outputs have shapes that depend on the numbers of their inputs.
const SHAPED_BY_VALUES: &[&str] =
    &["Compress", "If", "Loop", "NonMaxSuppression", "NonZero", "Scan", "SequenceInsert", "Unique"];

impl Outputs<'_> {
    /// Memory for outputs of these shapes, as far as they are float32.
    fn memory(&self) -> ort::Result<RunOptions<HasSelectedOutputs>> {
        let mut selector = OutputSelector::default();
        for (name, value) in &self.inner {
            if let ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } = value.dtype() {
                let memory = Tensor::<f32>::new(&Allocator::default(), shape.clone())?;
                selector = selector.preallocate(name, memory);
            }
        }
        Ok(RunOptions::new()?.with_outputs(selector))
    }

    /// A float32 output.
    ///
    /// # Errors
    /// There is no such output, or it is of another type.
    pub fn floats(&self, name: &str) -> Result<ArrayViewD<'_, f32>> {
        let missing = |problem: String| Error::model(name, problem);
        let value = self.inner.get(name).ok_or_else(|| missing("the run gave no such output".into()))?;
        value.try_extract_array::<f32>().map_err(|e| missing(e.to_string()))
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        /// More numbers than any list of axes, sizes or pads has.
        const FEW: usize = 64;
        let value = self.inner.get(name)?;
        let ValueType::Tensor { ty, shape, .. } = value.dtype() else { return None };
        let shape = shape.iter().map(|&d| usize::try_from(d)).collect::<Result<Vec<_>, _>>().ok()?;
        let few = shape.iter().product::<usize>() <= FEW;
        let integers = match ty {
            TensorElementType::Int64 if few => value.try_extract_array::<i64>().ok()?.iter().copied().collect(),
            TensorElementType::Int32 if few => {
                value.try_extract_array::<i32>().ok()?.iter().map(|&v| v.into()).collect()
            }
            TensorElementType::Bool if few => {
                value.try_extract_array::<bool>().ok()?.iter().map(|&v| v.into()).collect()
            }
            _ => Vec::new(),
        };
        Some(TensorInfo { shape, kind: data_type(*ty), integers: Some(integers).filter(|i| !i.is_empty()) })
    }
}

fn data_type(kind: TensorElementType) -> Option<DataType> {
    Some(match kind {
        TensorElementType::Float32 => DataType::Float,
        TensorElementType::Uint8 => DataType::Uint8,
        TensorElementType::Int8 => DataType::Int8,
        TensorElementType::Uint16 => DataType::Uint16,
        TensorElementType::Int16 => DataType::Int16,
        TensorElementType::Int32 => DataType::Int32,
        TensorElementType::Int64 => DataType::Int64,
        TensorElementType::Bool => DataType::Bool,
        TensorElementType::Float16 => DataType::Float16,
        TensorElementType::Float64 => DataType::Double,
        TensorElementType::Bfloat16 => DataType::Bfloat16,
        _ => return None,
    })
}

fn first_line(error: &dyn std::fmt::Display) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
