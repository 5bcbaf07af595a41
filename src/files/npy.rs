//! Arrays of numbers in `.npy` files.

use std::path::Path;

use ndarray::{ArrayD, ArrayViewD};
use ndarray_npy::{ViewNpyError, ViewNpyExt};

use super::limits;
use crate::error::{Error, Result};

/// Reads a `.npy` file of floats of 32 or 64 bits, integers of 8, 16, 32 or 64 bits, or bools.
///
/// # Errors
/// The file cannot be read, holds another type, or is too large.
pub fn read_npy(path: &Path) -> Result<ArrayD<f64>> {
    let bytes = limits::read(path, limits::TENSOR_BYTES).map_err(|e| Error::reading(path, &e))?;
    let bytes = bytes.as_slice();
    let read = numbers::<f32>(bytes, f64::from)
        .or_else(|_| numbers::<f64>(bytes, f64::from))
        .or_else(|_| numbers::<u8>(bytes, f64::from))
        .or_else(|_| numbers::<i8>(bytes, f64::from))
        .or_else(|_| numbers::<u16>(bytes, f64::from))
        .or_else(|_| numbers::<i16>(bytes, f64::from))
        .or_else(|_| numbers::<u32>(bytes, f64::from))
        .or_else(|_| numbers::<i32>(bytes, f64::from))
        .or_else(|_| numbers::<u64>(bytes, |value| value as f64))
        .or_else(|_| numbers::<i64>(bytes, |value| value as f64))
        .or_else(|_| numbers::<bool>(bytes, f64::from));
    read.map_err(|e| Error::input(path, format!("not a .npy file of numbers: {e}")).caused_by(e))
}

/// The numbers of a file of one type. A view allocates nothing, so a false shape in the header is harmless.
fn numbers<'a, T: Copy + 'a>(bytes: &'a [u8], to_f64: fn(T) -> f64) -> Result<ArrayD<f64>, ViewNpyError>
where
    ArrayViewD<'a, T>: ViewNpyExt<'a>,
{
    ArrayViewD::<T>::view_npy(bytes).map(|values| values.mapv(to_f64))
}
