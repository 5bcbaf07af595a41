//! Raw maps as NumPy files: float32 `[h,w]`, after `ReLU`, neither upscaled nor normalised.

use std::path::{Path, PathBuf};

use ndarray_npy::{WriteNpyError, write_npy};

use super::{ExplainedFrame, Flow, Sink};
use crate::error::{Error, Result};
use crate::explainer::Facts;

pub struct MapsSink {
    folder: PathBuf,
}

/// The name of a map's file: its number over the whole run.
pub fn map_file_name(number: u64) -> String {
    format!("{number:06}.npy")
}

impl MapsSink {
    /// # Errors
    /// The folder cannot be made, or holds maps of another run and `overwrite` is false.
    pub fn new(folder: &Path, overwrite: bool) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|e| Error::writing(folder, &e))?;
        if !overwrite && folder.join(map_file_name(0)).exists() {
            return Err(Error::output(folder, "it holds maps of another run already; --force overwrites them"));
        }
        Ok(Self { folder: folder.to_owned() })
    }
}

impl Sink for MapsSink {
    fn write(&mut self, explained: &ExplainedFrame, _: &Facts) -> Result<Flow> {
        let path = self.folder.join(map_file_name(explained.number));
        write_npy(&path, &explained.explanation.map.values).map_err(|e| match e {
            WriteNpyError::Io(e) => Error::writing(&path, &e),
            other => Error::output(&path, other),
        })?;
        Ok(Flow::Continue)
    }
}
