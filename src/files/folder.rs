//! Folders for output.

use std::path::Path;

use crate::error::{Error, Result};

/// Makes a folder and those above it, unless they exist.
///
/// # Errors
/// A file has its name or that of a folder above it, or it cannot be made.
pub fn make_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| match folder.ancestors().find(|above| above.is_file()) {
        Some(file) => Error::output(folder, format!("{} is a file, not a folder", file.display())).caused_by(error),
        None => Error::writing(folder, &error),
    })
}
