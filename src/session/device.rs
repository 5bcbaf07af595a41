//! The device and the threads that a model runs on.

use std::str::FromStr;

use crate::error::Error;

/// An execution provider of ONNX Runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    #[default]
    Cpu,
    Cuda,
    TensorRt,
    CoreMl,
    DirectMl,
    OpenVino,
    Xnnpack,
}

/// Each device with its name and the Python package whose library supports it.
const DEVICES: &[(Device, &str, &str)] = &[
    (Device::Cpu, "cpu", "onnxruntime"),
    (Device::Cuda, "cuda", "onnxruntime-gpu"),
    (Device::TensorRt, "tensorrt", "onnxruntime-gpu"),
    (Device::CoreMl, "coreml", "onnxruntime for macOS"),
    (Device::DirectMl, "directml", "onnxruntime-directml"),
    (Device::OpenVino, "openvino", "onnxruntime-openvino"),
    (Device::Xnnpack, "xnnpack", "none: ONNX Runtime must be built with --use_xnnpack"),
];

impl Device {
    /// The name that a user types.
    pub fn name(self) -> &'static str {
        DEVICES.iter().find(|(device, _, _)| *device == self).map_or("cpu", |(_, name, _)| name)
    }

    /// The Python package whose library runs models on this device.
    pub fn package(self) -> &'static str {
        DEVICES.iter().find(|(device, _, _)| *device == self).map_or("onnxruntime", |(_, _, package)| package)
    }
}

impl FromStr for Device {
    type Err = Error;

    /// Parses a name; `auto` is the CPU, which every library supports.
    fn from_str(text: &str) -> Result<Self, Error> {
        let found = DEVICES.iter().find(|(_, name, _)| *name == text).map(|(device, _, _)| *device);
        found.or((text == "auto").then_some(Self::Cpu)).ok_or_else(|| {
            let known: Vec<&str> = DEVICES.iter().map(|(_, name, _)| *name).collect();
            let known = format!("there are auto, {}", known.join(", "));
            Error::Unknown { what: "device", name: text.to_owned(), known }
        })
    }
}

/// The threads and the device that run a model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Compute {
    /// Threads per run; 0 leaves the choice to the runtime.
    pub threads: usize,
    pub device: Device,
    /// Whether other work needs the processor between two runs. The runtime's threads then sleep while they wait for the
    /// next step, rather than look for it all the time. A run alone takes about a quarter longer.
    pub shares_processor: bool,
}

impl Compute {
    /// The CPU with `threads` threads.
    pub fn on_threads(threads: usize) -> Self {
        Self { threads, device: Device::Cpu, shares_processor: false }
    }
}
