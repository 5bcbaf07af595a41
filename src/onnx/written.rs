//! The names of the tensors that the backward pass writes.

/// A name for the tensor `what`, different for each number.
pub fn written_name(number: usize, what: &str) -> String {
    format!("whycam.{number}.{what}")
}

/// The number in a name made by [`written_name`]; `None` for other names.
pub fn written_number(name: &str) -> Option<usize> {
    name.strip_prefix("whycam.")?.split_once('.')?.0.parse().ok()
}
