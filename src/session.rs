//! Running a model. The only file that names the inference runtime.
//!
//! ONNX Runtime's library is looked for in `ORT_DYLIB_PATH`, beside the executable, in the user's
//! data folder (`$XDG_DATA_HOME/whycam`), and in the system's library path. Where there is none,
//! the embedded tract runs.

use std::collections::HashSet;
use std::env;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ndarray::{ArrayD, ArrayViewD};
use ort::environment::Environment;
use ort::ep::{self, ExecutionProvider, ExecutionProviderDispatch};
use ort::memory::Allocator;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, SessionInputValue, SessionOutputs};
use ort::value::{Tensor, TensorElementType, TensorRef, ValueType};
use tracing::trace_span;

use crate::device::{Compute, Device};
use crate::error::{Error, Result};
use crate::grad::{TensorInfo, Tensors};
use crate::onnx::proto::ValueInfo;
use crate::onnx::{DataType, GraphIndex, OnnxModel};

const LIBRARY: &str = if cfg!(target_os = "macos") {
    "libonnxruntime.dylib"
} else if cfg!(windows) {
    "onnxruntime.dll"
} else {
    "libonnxruntime.so"
};

/// Which runtime this process uses. It is chosen once, by the first session.
#[derive(Debug)]
pub struct Runtime {
    /// For messages: its name, and where it was found.
    pub name: String,
    /// Why ONNX Runtime is not used, and how to get it.
    pub slower: Option<String>,
    onnx_runtime: bool,
    environment: Environment,
}

/// The runtime of this process.
///
/// # Errors
/// There is none: no library, and this build has no tract.
pub fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    RUNTIME
        .get_or_init(find_runtime)
        .as_ref()
        .map_err(|problem| Error::Runtime { runtime: "ONNX Runtime".into(), problem: problem.clone() })
}

fn find_runtime() -> Result<Runtime, String> {
    let mut problem = String::from("its library was not found");
    let places = library_places();
    for path in &places {
        if let Err(cut) = check_whole(path) {
            problem = cut;
            continue;
        }
        match ort::init_from(path) {
            Ok(builder) => {
                let environment = builder.with_telemetry(false).build().map_err(|e| e.to_string())?;
                let name = format!("ONNX Runtime ({})", path.display());
                return Ok(Runtime { name, slower: None, onnx_runtime: true, environment });
            }
            // The last place is the loader's own search path, which mostly holds none.
            Err(_) if path == Path::new(LIBRARY) => {}
            Err(e) => problem = e.to_string(),
        }
    }
    embedded_runtime(&problem)
}

/// A library in ELF (System V ABI, chapter 4) that was cut short is mapped all the same, and ends the program where it
/// is missing. Its table of sections stands at its end.
fn check_whole(path: &Path) -> Result<(), String> {
    let mut header = [0; 64];
    let read = File::open(path).and_then(|mut file| {
        file.read_exact(&mut header)?;
        file.metadata()
    });
    // What is absent, or none of these, the loader says.
    let Ok(metadata) = read else { return Ok(()) };
    if header[..6] != *b"\x7fELF\x02\x01" {
        return Ok(());
    }
    let [short, long] = [2, 8].map(|size| {
        move |at: usize| header[at..at + size].iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
    });
    let end = long(40).saturating_add(short(58) * short(60));
    if metadata.len() >= end {
        return Ok(());
    }
    Err(format!("{} is cut short ({} of {end} bytes); fetch it again", path.display(), metadata.len()))
}

#[cfg(feature = "tract")]
fn embedded_runtime(problem: &str) -> Result<Runtime, String> {
    ort::set_api(ort_tract::api());
    let environment = ort::init().with_telemetry(false).build().map_err(|e| e.to_string())?;
    let slower = format!(
        "ONNX Runtime: {problem}; the embedded tract runs instead, about ten times slower \
         (`make setup` installs the fast one, or set ORT_DYLIB_PATH to {LIBRARY})"
    );
    Ok(Runtime { name: "tract (embedded)".into(), slower: Some(slower), onnx_runtime: false, environment })
}

#[cfg(not(feature = "tract"))]
fn embedded_runtime(problem: &str) -> Result<Runtime, String> {
    Err(format!("{problem}; run `make setup` or set ORT_DYLIB_PATH to {LIBRARY}"))
}

/// Where the library may lie, best first. `ORT_DYLIB_PATH`, where it is set, is the only place.
fn library_places() -> Vec<PathBuf> {
    if let Some(path) = env::var_os("ORT_DYLIB_PATH").filter(|p| !p.is_empty()) {
        return vec![path.into()];
    }
    let beside = env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join(LIBRARY)));
    let data = env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|p| p.is_absolute())
        .or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".local/share")));
    let user = data.map(|data| data.join("whycam").join(LIBRARY));
    let mut places: Vec<PathBuf> = beside.into_iter().chain(user).filter(|p| p.exists()).collect();
    places.push(LIBRARY.into());
    places
}

/// A model that is ready to run.
pub struct Session {
    inner: ort::session::Session,
    model: String,
    reuse: Reuse,
}

/// Outputs that are written into the same memory run after run. It saves allocating them, and ort 2.0.0-rc.14 leaks
/// the type of each output that the runtime allocates.
enum Reuse {
    /// The runtime cannot, or the shapes of outputs depend on more than those of inputs.
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

/// The execution provider for a device that the library has.
fn provider(device: Device, runtime: &Runtime) -> Result<ExecutionProviderDispatch> {
    fn found<P: ExecutionProvider + Into<ExecutionProviderDispatch>>(provider: P) -> (bool, ExecutionProviderDispatch) {
        (P::is_available().unwrap_or(false), provider.into().error_on_failure())
    }
    let (available, provider) = match device {
        Device::Cpu => found(ep::CPU::default()),
        Device::Cuda => found(ep::CUDA::default()),
        Device::TensorRt => found(ep::TensorRT::default()),
        Device::CoreMl => found(ep::CoreML::default()),
        Device::DirectMl => found(ep::DirectML::default()),
        Device::OpenVino => found(ep::OpenVINO::default().with_device_type("CPU")),
        Device::Xnnpack => found(ep::XNNPACK::default()),
    };
    if available && runtime.onnx_runtime {
        return Ok(provider);
    }
    let (name, package) = (device.name(), device.package());
    let problem = format!(
        "it does not run models on {name}; set ORT_DYLIB_PATH to a library that does (PyPI package {package}), \
         or leave --device out"
    );
    Err(Error::Runtime { runtime: runtime.name.clone(), problem })
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
        Self::load(model, compute, GraphOptimizationLevel::All)
    }

    fn load(model: &OnnxModel, compute: Compute, level: GraphOptimizationLevel) -> Result<Self> {
        let Compute { threads, device } = compute;
        let runtime = runtime()?;
        let refused = |e: &dyn std::fmt::Display| Error::Runtime {
            runtime: runtime.name.clone(),
            problem: format!(
                "cannot load model {}: {}{}",
                model.name,
                first_line(e),
                if runtime.onnx_runtime { "" } else { "; ONNX Runtime takes more models (`make setup` installs it)" }
            ),
        };
        let mut builder = ort::session::Session::builder(&runtime.environment).map_err(|e| refused(&e))?;
        builder = builder.with_optimization_level(level).map_err(|e| refused(&e))?;
        if runtime.onnx_runtime {
            builder = builder.with_log_level(ort::logging::LogLevel::Fatal).map_err(|e| refused(&e))?;
            if threads > 0 {
                builder = builder.with_intra_threads(threads).map_err(|e| refused(&e))?;
            }
        }
        if device != Device::Cpu {
            let provider = provider(device, runtime)?;
            builder = builder.with_execution_providers([provider]).map_err(|e| refused(&e))?;
        }
        let inner = builder.commit_from_memory(&model.to_bytes()).map_err(|e| refused(&e))?;
        let decided = !model.graph().node.iter().any(|node| SHAPED_BY_VALUES.contains(&node.op()));
        let reuse = if runtime.onnx_runtime && decided { Reuse::NotYet } else { Reuse::Never };
        Ok(Self { inner, model: model.name.clone(), reuse })
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

/// Finds out shape and type of every tensor of `model` by running it once on zeros of the given
/// input shapes, with all tensors as outputs. `If` nodes whose condition follows from the shapes
/// alone are replaced by the branch that is taken.
///
/// # Errors
/// The runtime does not take the model.
pub fn probe(model: &mut OnnxModel, inputs: &[(&str, Vec<usize>)]) -> Result<Tensors> {
    while let Some((place, condition)) = decided_branch(model, inputs)? {
        model.inline_branch(place, condition)?;
    }
    let made: Vec<String> =
        model.graph().node.iter().flat_map(|n| n.output.iter()).filter(|o| !o.is_empty()).cloned().collect();
    let mut tensors = run_on_zeros(model, inputs, &made)?;
    for tensor in &model.graph().initializer {
        let shape = tensor.dims.iter().map(|&d| usize::try_from(d).unwrap_or(0)).collect();
        let kind = DataType::from_number(tensor.data_type());
        tensors.insert(tensor.name().to_owned(), TensorInfo { shape, kind, integers: tensor.to_i64s() });
    }
    for info in &model.graph().input {
        if let Some((name, shape)) = inputs.iter().find(|(name, _)| *name == info.name()) {
            tensors.insert((*name).to_owned(), TensorInfo { shape: shape.clone(), kind: info.kind(), integers: None });
        }
    }
    Ok(tensors)
}

/// The first `If` node whose condition does not depend on the numbers of any input, and which way it goes.
fn decided_branch(model: &OnnxModel, inputs: &[(&str, Vec<usize>)]) -> Result<Option<(usize, bool)>> {
    let index = GraphIndex::new(model.graph());
    let decided = |condition: &str| inputs.iter().all(|(input, _)| !index.depends_on_values(condition, input));
    let branches = model.graph().node.iter().enumerate().filter(|(_, node)| node.is_standard() && node.op() == "If");
    for (place, node) in branches {
        let Some(condition) = node.input.first().filter(|condition| decided(condition)) else { continue };
        let constant = index.constant(condition).and_then(crate::onnx::proto::Tensor::to_i64s);
        let value = match constant {
            Some(value) => Some(value),
            None => {
                run_on_zeros(model, inputs, std::slice::from_ref(condition))?.remove(condition).and_then(|t| t.integers)
            }
        };
        if let Some(value) = value.and_then(|values| values.first().copied()) {
            return Ok(Some((place, value != 0)));
        }
    }
    Ok(None)
}

fn run_on_zeros(model: &OnnxModel, inputs: &[(&str, Vec<usize>)], wanted: &[String]) -> Result<Tensors> {
    let mut probe = model.clone();
    let mut filled: Vec<(&str, Zeros)> = Vec::new();
    for (name, shape) in inputs {
        let kind = model.graph().input.iter().find(|i| i.name() == *name).and_then(ValueInfo::kind);
        filled.push((
            name,
            if kind == Some(DataType::Int64) {
                Zeros::Int64(ArrayD::zeros(shape.as_slice()))
            } else {
                probe.take_float32(name);
                Zeros::Float(ArrayD::zeros(shape.as_slice()))
            },
        ));
    }
    let outputs = &mut probe.graph_mut().output;
    let known: HashSet<String> = outputs.iter().map(|o| o.name().to_owned()).collect();
    outputs.extend(wanted.iter().filter(|tensor| !known.contains(*tensor)).map(|tensor| ValueInfo::untyped(tensor)));
    let mut session = Session::load(&probe, Compute::default(), GraphOptimizationLevel::Disable)?;
    let views = filled.iter().map(|(name, zeros)| match zeros {
        Zeros::Float(array) => (*name, Input::Float(array.view())),
        Zeros::Int64(array) => (*name, Input::Int64(array.view())),
    });
    let outputs = session.run(views.collect())?;
    Ok(wanted.iter().filter_map(|name| Some((name.clone(), outputs.info(name)?))).collect())
}

enum Zeros {
    Float(ArrayD<f32>),
    Int64(ArrayD<i64>),
}

fn first_line(error: &dyn std::fmt::Display) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
