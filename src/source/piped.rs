//! An input that can be read only once, such as a pipe: it is copied into a file first.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::inputs::Input;
use super::interface::Source;
use super::open::open;
use crate::error::{Error, Result};
use crate::media::{Frame, Medium, Report};

/// What came through a pipe.
pub struct PipedSource {
    inner: Box<dyn Source>,
    input: Input,
    /// The medium of the copy, and that of the pipe.
    medium: Option<(Arc<Medium>, Arc<Medium>)>,
    /// Removed when the source is dropped.
    _copy: Copy,
}

/// Whether a path names something that can be read only once.
pub fn is_pipe(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

impl PipedSource {
    /// Reads the pipe to its end.
    ///
    /// # Errors
    /// There is no room for the copy, or whycam cannot read it.
    pub fn open(input: &Input, threads: usize, report: &Report) -> Result<Self> {
        let copy = Copy::of(input)?;
        let inner = open(&Input::file(&copy.0), threads, report);
        let inner = inner.map_err(|error| match error {
            Error::Input { problem, source, .. } => Error::Input { path: PathBuf::from(&input.name), problem, source },
            other => other,
        })?;
        Ok(Self { inner, input: input.clone(), medium: None, _copy: copy })
    }

    fn medium_for(&mut self, of_copy: &Arc<Medium>) -> Arc<Medium> {
        if let Some((known, medium)) = &self.medium
            && Arc::ptr_eq(known, of_copy)
        {
            return Arc::clone(medium);
        }
        let medium = Arc::new(Medium { name: self.input.name.clone(), path: None, ..Medium::clone(of_copy) });
        self.medium = Some((Arc::clone(of_copy), Arc::clone(&medium)));
        medium
    }
}

impl Source for PipedSource {
    fn next_frame(&mut self) -> Result<Option<Frame>> {
        let Some(mut frame) = self.inner.next_frame()? else { return Ok(None) };
        frame.medium = self.medium_for(&frame.medium);
        Ok(Some(frame))
    }

    fn frame_count(&self) -> Option<u64> {
        self.inner.frame_count()
    }
}

/// A temporary file.
struct Copy(PathBuf);

impl Copy {
    fn of(input: &Input) -> Result<Self> {
        let Some(pipe) = &input.path else { return Err(Error::input(&input.name, "it is an address, not a pipe")) };
        let path =
            std::env::temp_dir().join(format!("whycam-{}-{:p}.pipe", std::process::id(), std::ptr::from_ref(input)));
        let copy = Self(path);
        let mut from = File::open(pipe).map_err(|e| Error::reading(pipe, &e))?;
        let mut to = File::create_new(&copy.0).map_err(|e| Error::writing(&copy.0, &e))?;
        std::io::copy(&mut from, &mut to).map_err(|e| Error::writing(&copy.0, &e))?;
        Ok(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
