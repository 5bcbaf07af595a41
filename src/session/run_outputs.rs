//! The outputs of one run.

use ndarray::ArrayViewD;
use ort::memory::Allocator;
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, SessionOutputs};
use ort::value::{DynValue, Tensor, TensorElementType, ValueType};

use crate::error::{Error, Result};
use crate::onnx::{DataType, TensorInfo};

/// The outputs of one run, in the runtime's memory.
///
/// An owned value of the runtime keeps its session alive. So this type hands out views only.
pub struct RunOutputs<'s> {
    inner: SessionOutputs<'s>,
}

impl<'s> RunOutputs<'s> {
    pub(super) fn new(inner: SessionOutputs<'s>) -> Self {
        Self { inner }
    }

    /// Memory for outputs of the same shapes; only float32 outputs are reused.
    pub(super) fn memory(&self) -> ort::Result<RunOptions<HasSelectedOutputs>> {
        let mut selector = OutputSelector::default();
        for (name, value) in &self.inner {
            if let ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } = value.dtype() {
                let memory = Tensor::<f32>::new(&Allocator::default(), shape.clone())?;
                selector = selector.preallocate(name, memory);
            }
        }
        Ok(RunOptions::new()?.with_outputs(selector))
    }

    /// An output of any type, for a further run.
    pub(super) fn value(&self, name: &str) -> Option<&DynValue> {
        self.inner.get(name)
    }

    /// A float32 output.
    ///
    /// # Errors
    /// There is no output of that name, or it has another type.
    pub fn floats(&self, name: &str) -> Result<ArrayViewD<'_, f32>> {
        let missing = |problem: String| Error::model(name, problem);
        let value = self.inner.get(name).ok_or_else(|| missing("the run produced no such output".into()))?;
        value.try_extract_array::<f32>().map_err(|e| missing(e.to_string()))
    }

    /// Shape, type and, for a short integer or boolean output, values.
    pub(super) fn info(&self, name: &str) -> Option<TensorInfo> {
        /// More values than any list of axes, sizes or pads has.
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
            TensorElementType::Uint8 if few => {
                value.try_extract_array::<u8>().ok()?.iter().map(|&v| v.into()).collect()
            }
            TensorElementType::Int8 if few => value.try_extract_array::<i8>().ok()?.iter().map(|&v| v.into()).collect(),
            _ => Vec::new(),
        };
        Some(TensorInfo { shape, kind: data_type(*ty), integers: Some(integers).filter(|i| !i.is_empty()) })
    }
}

pub(super) fn data_type(kind: TensorElementType) -> Option<DataType> {
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
