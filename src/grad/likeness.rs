//! Comparing an embedding with references, so that it becomes a classifier whose classes are the references.

use ndarray::Array2;

use super::graph_writer::GraphWriter;
use crate::error::Result;
use crate::onnx::{DataType, OnnxModel, TensorInfo, Tensors};

/// The tensor `[N,K]` that [`append_likeness`] adds.
pub const LIKENESS: &str = "whycam.likeness";

/// What an embedding is compared with.
pub struct References {
    /// `[K,D]`, each row of length 1.
    pub vectors: Array2<f32>,
    /// What cosines are multiplied by.
    pub scale: f32,
    /// What is added to them.
    pub bias: f32,
}

/// The tensor `[N,D]` that [`append_token_vector`] adds.
pub const TOKEN_VECTOR: &str = "whycam.vector";

/// Appends the vector of a picture whose tokens `[N,T,D]` are given: the class token, or without one the mean of all. Describes
/// the new tensor.
///
/// # Errors
/// The shape of the tokens is unknown.
pub fn append_token_vector(
    model: &mut OnnxModel,
    tensors: &mut Tensors,
    tokens: &str,
    has_class_token: bool,
) -> Result<()> {
    let writer = GraphWriter::new(model, tensors);
    let shape = writer.shape(tokens)?.to_vec();
    let given = writer.tensor(tokens);
    let one = if has_class_token { given.slice(0, 1, 1) } else { given.mean_over(&[1]) };
    let length = shape.last().copied().unwrap_or(1);
    let vector = one.reshape(&[-1, length as i64]);
    writer.emit_as(TOKEN_VECTOR, "Identity", &[vector], &[]);
    writer.into_patch(&[TOKEN_VECTOR]).apply(model);
    let shape = vec![shape.first().copied().unwrap_or(1), length];
    tensors.insert(TOKEN_VECTOR.to_owned(), TensorInfo { shape, kind: Some(DataType::Float), integers: None });
    Ok(())
}

/// Appends the likeness of an embedding `v`, `[N,D]`, to each reference `r`: `scale · v·r / |v| + bias`.
///
/// # Errors
/// The shape of the embedding is unknown.
pub fn append_likeness(model: &mut OnnxModel, tensors: &Tensors, vector: &str, references: &References) -> Result<()> {
    let References { vectors, scale, bias } = references;
    let (count, length) = vectors.dim();
    let writer = GraphWriter::new(model, tensors);
    let flat = writer.shape(vector)?.len() == 2;
    let given = writer.tensor(vector);
    let given = if flat { given } else { given.reshape(&[-1, length as i64]) };
    // Keeps a vector of zeros from becoming not a number.
    let size = ((given * given).sum_over(&[1]) + f32::MIN_POSITIVE).sqrt();
    let columns: Vec<f32> = vectors.t().iter().map(|value| value * scale).collect();
    let likeness = (given / size).matmul(writer.floats(&[length as i64, count as i64], &columns));
    if *bias == 0.0 {
        writer.emit_as(LIKENESS, "Identity", &[likeness], &[]);
    } else {
        writer.emit_as(LIKENESS, "Add", &[likeness, writer.scalar(*bias)], &[]);
    }
    writer.into_patch(&[LIKENESS]).apply(model);
    Ok(())
}
