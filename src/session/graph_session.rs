//! A session of the runtime, together with the graph that it borrows its weights from.

use std::sync::Arc;

use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{HasSelectedOutputs, RunOptions, SessionInputValue};
use ort::value::ValueType;

use super::run_outputs::{RunOutputs, data_type};
use crate::onnx::DataType;

/// A session and, if it shares an optimised graph with other sessions, the bytes of that graph.
///
/// The session never leaves this type, and [`RunOutputs`] gives away no owned value, so nothing outlives the bytes.
pub struct GraphSession {
    // Fields drop in this order: the session must go before the bytes that it reads from.
    session: ort::session::Session,
    _bytes: Option<Arc<Vec<u8>>>,
}

impl GraphSession {
    /// A session with a private copy of its weights. `model` is the bytes of an ONNX file.
    ///
    /// # Errors
    /// The runtime rejects the model.
    pub fn of_model(mut builder: SessionBuilder, model: &[u8]) -> ort::Result<Self> {
        Ok(Self { session: builder.commit_from_memory(model)?, _bytes: None })
    }

    /// A session that reads its weights from `bytes`, an optimised graph in the runtime's own format.
    ///
    /// # Errors
    /// The runtime rejects the graph.
    #[expect(unsafe_code, reason = "the session borrows the bytes without a lifetime")]
    pub fn sharing(builder: SessionBuilder, bytes: Arc<Vec<u8>>) -> ort::Result<Self> {
        // SAFETY: `bytes` is stored with the session and dropped after it. The vector is behind an `Arc` and never
        // changed through it (no `Arc::get_mut`), so its heap buffer neither moves nor changes until the last owner
        // drops it. No method hands out the session or an owned value of it.
        let session = unsafe { borrowing_session(builder, &bytes)? };
        Ok(Self { session, _bytes: Some(bytes) })
    }

    /// The type and shape of each output that is a tensor, with -1 for a free length.
    pub fn output_types(&self) -> Vec<(String, DataType, Vec<i64>)> {
        let of_tensor = |kind: &ValueType| match kind {
            ValueType::Tensor { ty, shape, .. } => Some((data_type(*ty)?, shape.to_vec())),
            _ => None,
        };
        let outputs = self.session.outputs().iter();
        outputs.filter_map(|o| of_tensor(o.dtype()).map(|(kind, dims)| (o.name().to_owned(), kind, dims))).collect()
    }

    /// Runs the session once; with `options`, into the outputs that these hold.
    ///
    /// # Errors
    /// An input does not fit the model, or the runtime fails.
    pub fn run<'r>(
        &'r mut self,
        inputs: Vec<(&str, SessionInputValue)>,
        options: Option<&'r RunOptions<HasSelectedOutputs>>,
    ) -> ort::Result<RunOutputs<'r>> {
        let outputs = match options {
            Some(options) => self.session.run_with_options(inputs, options)?,
            None => self.session.run(inputs)?,
        };
        Ok(RunOutputs::new(outputs))
    }
}

/// A session that reads the initialisers of a graph from `bytes` instead of copying them.
///
/// # Safety
/// Until the session is dropped, `bytes` must stay allocated at the same address and unchanged.
#[expect(unsafe_code, reason = "the session borrows the bytes without a lifetime")]
unsafe fn borrowing_session(builder: SessionBuilder, bytes: &[u8]) -> ort::Result<ort::session::Session> {
    let mut builder = builder.with_optimization_level(GraphOptimizationLevel::Disable)?;
    for key in ["session.use_ort_model_bytes_directly", "session.use_ort_model_bytes_for_initializers"] {
        builder = builder.with_config_entry(key, "1")?;
    }
    builder.commit_from_memory(bytes)
}
