//! An input that can be read only once, such as a pipe: it is copied into a file first.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::inputs::Input;
use super::interface::Source;
use super::open::open;
use crate::error::{Error, Result};
use crate::files::limits;
use crate::media::{Frame, Medium, Report};

/// What came through a pipe.
pub struct PipedSource {
    inner: Box<dyn Source>,
    input: Input,
    /// The medium of the copy, and that of the pipe.
    medium: Option<(Arc<Medium>, Arc<Medium>)>,
}

/// Whether a path names a pipe or a socket, which can be read only once.
#[cfg(unix)]
pub fn is_pipe(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo() || metadata.file_type().is_socket())
}

#[cfg(not(unix))]
pub fn is_pipe(_: &Path) -> bool {
    false
}

impl PipedSource {
    /// Reads the pipe to its end.
    ///
    /// # Errors
    /// There is no room for the copy, or whycam cannot read it.
    pub fn open(input: &Input, threads: usize, report: &Report) -> Result<Self> {
        let Some(pipe) = &input.path else { return Err(Error::input(&input.name, "it is an address, not a pipe")) };
        let copy = copy_of(pipe)
            .map_err(|e| Error::input(pipe, format!("it cannot be copied into a temporary file: {e}")).caused_by(e))?;
        let inner = open(&Input::file(&copy), threads, report).map_err(|error| match error {
            Error::Input { problem, source, .. } => Error::Input { path: pipe.clone(), problem, source },
            other => other,
        })?;
        Ok(Self { inner, input: input.clone(), medium: None })
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

    fn passed_over(&mut self) -> u64 {
        self.inner.passed_over()
    }
}

/// Copies a pipe, and returns the path of the copy.
///
/// On Linux the copy has no name from the start, so that nothing of it stays, however the program ends: its path leads to
/// an open file, which is kept open as long as the program runs, since the sound of a film is read after its pictures.
fn copy_of(pipe: &Path) -> io::Result<PathBuf> {
    let mut from = File::open(pipe)?.take(limits::PIPE_BYTES + 1);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let path = std::env::temp_dir().join(format!("whycam-{}-{now}.pipe", std::process::id()));
    let mut to = File::options().read(true).write(true).create_new(true).open(&path)?;
    let path = if cfg!(target_os = "linux") { keep_without_name(&to, path)? } else { path };
    if io::copy(&mut from, &mut to)? > limits::PIPE_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too long; save it as a file first"));
    }
    std::mem::forget(to);
    Ok(path)
}

#[cfg(target_os = "linux")]
fn keep_without_name(file: &File, path: PathBuf) -> io::Result<PathBuf> {
    use std::os::fd::AsRawFd;
    fs::remove_file(path)?;
    Ok(PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())))
}

#[cfg(not(target_os = "linux"))]
fn keep_without_name(_: &File, path: PathBuf) -> io::Result<PathBuf> {
    let _ = fs::metadata(&path)?;
    Ok(path)
}
