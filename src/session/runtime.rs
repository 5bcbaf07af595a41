//! The choice of the inference runtime.
//!
//! ONNX Runtime's library is searched in `ORT_DYLIB_PATH`, next to the executable, in the user's data folder
//! (`$XDG_DATA_HOME/whycam`), and on the system's library path. Without it, tract runs the models, if the build has it.

use std::env;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ort::environment::Environment;
use ort::ep::{self, ExecutionProvider, ExecutionProviderDispatch};

use super::device::Device;
use crate::error::{Error, Result};

const LIBRARY: &str = if cfg!(target_os = "macos") {
    "libonnxruntime.dylib"
} else if cfg!(windows) {
    "onnxruntime.dll"
} else {
    "libonnxruntime.so"
};

/// The runtime of this process. The first session chooses it.
#[derive(Debug)]
pub struct Runtime {
    /// Its name and path, for messages.
    pub name: String,
    /// Why ONNX Runtime is not used, and how to install it.
    pub slower: Option<String>,
    pub(super) onnx_runtime: bool,
    pub(super) environment: Environment,
}

/// The runtime of this process.
///
/// # Errors
/// There is no library, and this build has no tract.
pub fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    RUNTIME.get_or_init(find_runtime).as_ref().map_err(|problem| Error::runtime("ONNX Runtime", problem))
}

fn find_runtime() -> Result<Runtime, String> {
    let mut problem = String::from("its library was not found");
    for path in &library_paths() {
        if let Err(truncated) = check_whole(path) {
            problem = truncated;
            continue;
        }
        match ort::init_from(path) {
            Ok(builder) => {
                let environment = builder.with_telemetry(false).build().map_err(|e| e.to_string())?;
                let name = format!("ONNX Runtime ({})", path.display());
                return Ok(Runtime { name, slower: None, onnx_runtime: true, environment });
            }
            // The last path is the loader's search path, which usually has no library.
            Err(_) if path == Path::new(LIBRARY) => {}
            Err(e) => problem = e.to_string(),
        }
    }
    embedded_runtime(&problem)
}

/// Checks that an ELF library (System V ABI, chapter 4) is not truncated: the loader would map it, and the program
/// would crash at the first missing page. The section header table is at the end of the file.
fn check_whole(path: &Path) -> Result<(), String> {
    let mut header = [0; 64];
    let read = File::open(path).and_then(|mut file| {
        file.read_exact(&mut header)?;
        file.metadata()
    });
    // The loader reports absent files and other formats.
    let Ok(metadata) = read else { return Ok(()) };
    if header[..6] != *b"\x7fELF\x02\x01" {
        return Ok(());
    }
    let [short, long] = [2, 8].map(|size| {
        move |offset: usize| {
            header[offset..offset + size].iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
        }
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
    Err(format!(
        "{problem}; `make setup` installs it, or set ORT_DYLIB_PATH to {LIBRARY} (PyPI's onnxruntime has it), or build \
         whycam with its feature `tract`, which is slower"
    ))
}

/// The paths of the library to try, in order. If `ORT_DYLIB_PATH` is set, it is the only one.
fn library_paths() -> Vec<PathBuf> {
    if let Some(path) = env::var_os("ORT_DYLIB_PATH").filter(|p| !p.is_empty()) {
        return vec![path.into()];
    }
    let installed = env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join(LIBRARY)));
    let data = env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|p| p.is_absolute())
        .or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".local/share")));
    let user = data.map(|data| data.join("whycam").join(LIBRARY));
    let mut paths: Vec<PathBuf> = installed.into_iter().chain(user).filter(|p| p.exists()).collect();
    paths.push(LIBRARY.into());
    paths
}

/// The execution provider for a device.
///
/// # Errors
/// The library does not support the device.
pub fn provider(device: Device, runtime: &Runtime) -> Result<ExecutionProviderDispatch> {
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
         or run on the CPU"
    );
    Err(Error::runtime(&runtime.name, problem))
}
