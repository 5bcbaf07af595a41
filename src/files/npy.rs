//! Arrays of numbers in `.npy` files.

use std::path::Path;

use ndarray::{ArrayD, ArrayViewD};
use ndarray_npy::{ViewNpyError, ViewNpyExt};

use super::limits;
use crate::error::{Error, Result};

/// Reads the numbers of a file that holds one type.
type View = fn(&[u8]) -> Result<Option<ArrayD<f64>>, ViewNpyError>;
const VIEWS: [View; 11] = [
    |bytes| numbers::<f32>(bytes, f64::from),
    |bytes| numbers::<f64>(bytes, f64::from),
    |bytes| numbers::<u8>(bytes, f64::from),
    |bytes| numbers::<i8>(bytes, f64::from),
    |bytes| numbers::<u16>(bytes, f64::from),
    |bytes| numbers::<i16>(bytes, f64::from),
    |bytes| numbers::<u32>(bytes, f64::from),
    |bytes| numbers::<i32>(bytes, f64::from),
    |bytes| numbers::<u64>(bytes, |value| value as f64),
    |bytes| numbers::<i64>(bytes, |value| value as f64),
    |bytes| numbers::<bool>(bytes, f64::from),
];

/// Reads a `.npy` file of floats of 32 or 64 bits, integers of 8, 16, 32 or 64 bits, or bools.
///
/// # Errors
/// The file cannot be read, holds another type, or is too large.
pub fn read_npy(path: &Path) -> Result<ArrayD<f64>> {
    let bytes = limits::read(path, limits::TENSOR_BYTES).map_err(|e| Error::reading(path, &e))?;
    let bytes = bytes.as_slice();
    let of_type =
        VIEWS.iter().map(|view| view(bytes)).find(|read| !matches!(read, Err(ViewNpyError::WrongDescriptor(_))));
    match of_type.unwrap_or_else(|| VIEWS[0](bytes)) {
        Ok(Some(values)) => Ok(values),
        Ok(None) => Err(Error::input(path, format!("it holds more than {} numbers", limits::NUMBERS))),
        Err(e) => Err(Error::input(path, format!("not a .npy file of numbers: {e}")).caused_by(e)),
    }
}

/// The numbers of a file of one type; `None` if they are too many. A view allocates nothing, so a false shape in the header
/// is harmless.
fn numbers<'a, T: Copy + 'a>(bytes: &'a [u8], to_f64: fn(T) -> f64) -> Result<Option<ArrayD<f64>>, ViewNpyError>
where
    ArrayViewD<'a, T>: ViewNpyExt<'a>,
{
    let view = ArrayViewD::<T>::view_npy(bytes)?;
    Ok(limits::fits(view.shape()).then(|| view.mapv(to_f64)))
}
