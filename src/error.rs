//! What can go wrong, sorted by who can mend it.

use std::io;
use std::path::{Path, PathBuf};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error that caused another one.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Every message names the thing, the place, and the remedy where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A picture, film, folder or manifest that cannot be used.
    #[error("{}: {problem}", path.display())]
    Input { path: PathBuf, problem: String, source: Option<Cause> },

    /// A model that cannot be read, differentiated or run.
    #[error("model {model}: {problem}")]
    Model { model: String, problem: String, source: Option<Cause> },

    /// An op between the logits and the target layer that has no gradient rule.
    #[error("op {op} (node {node}) has no gradient rule")]
    NoGradientRule { op: String, node: String },

    /// A rule that does not cover this form of its op.
    #[error("op {op} (node {node}): {problem}")]
    Rule { op: String, node: String, problem: String },

    /// A name that nothing has.
    #[error("no {what} is called '{name}'; {known}")]
    Unknown { what: &'static str, name: String, known: String },

    /// Options that exclude each other.
    #[error("{0}")]
    Conflict(String),

    /// An explanation of many runs that was cancelled between two of them.
    #[error("the explanation was cancelled")]
    Cancelled,

    /// The inference runtime rejected the model or failed in a run.
    #[error("{runtime}: {problem}")]
    Runtime { runtime: String, problem: String, source: Option<Cause> },

    #[error("camera {camera}: {problem}")]
    Camera { camera: String, problem: String },

    /// There is no display to open a window on.
    #[error("window: no display ({0}); set DISPLAY")]
    NoDisplay(String),
    #[error("window: {0}")]
    Window(String),

    /// An output that cannot be written.
    #[error("cannot write {}: {problem}", path.display())]
    Output { path: PathBuf, problem: String, source: Option<Cause> },

    /// An output that exists and may not be overwritten.
    #[error("cannot write {}: it exists already", path.display())]
    Exists { path: PathBuf },
}

impl Error {
    pub fn input(path: impl AsRef<Path>, problem: impl ToString) -> Self {
        Self::Input { path: path.as_ref().to_owned(), problem: problem.to_string(), source: None }
    }

    pub fn model(model: impl ToString, problem: impl ToString) -> Self {
        Self::Model { model: model.to_string(), problem: problem.to_string(), source: None }
    }

    pub fn runtime(runtime: impl ToString, problem: impl ToString) -> Self {
        Self::Runtime { runtime: runtime.to_string(), problem: problem.to_string(), source: None }
    }

    pub fn camera(camera: impl ToString, problem: impl ToString) -> Self {
        Self::Camera { camera: camera.to_string(), problem: problem.to_string() }
    }

    pub fn output(path: impl AsRef<Path>, problem: impl ToString) -> Self {
        Self::Output { path: path.as_ref().to_owned(), problem: problem.to_string(), source: None }
    }

    pub fn exists(path: impl AsRef<Path>) -> Self {
        Self::Exists { path: path.as_ref().to_owned() }
    }

    /// An I/O error on reading `path`, in words that say what to do.
    pub fn reading(path: impl AsRef<Path>, error: &io::Error) -> Self {
        Self::input(path, io_problem(error)).caused_by(copy_of(error))
    }

    /// An I/O error on writing `path`, in words that say what to do.
    pub fn writing(path: impl AsRef<Path>, error: &io::Error) -> Self {
        Self::output(path, io_problem(error)).caused_by(copy_of(error))
    }

    /// Whether it is that of a full disk, on which nothing else can be written either.
    pub fn is_full_disk(&self) -> bool {
        let cause = std::error::Error::source(self).and_then(|cause| cause.downcast_ref::<io::Error>());
        cause.is_some_and(|cause| cause.kind() == io::ErrorKind::StorageFull)
    }

    /// This error with its cause, which [`source`](std::error::Error::source) returns.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Cause>) -> Self {
        if let Self::Input { source, .. }
        | Self::Model { source, .. }
        | Self::Runtime { source, .. }
        | Self::Output { source, .. } = &mut self
        {
            *source = Some(cause.into());
        }
        self
    }
}

fn io_problem(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or folder".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::StorageFull => "the disk is full; free some space or choose another folder".into(),
        _ => error.to_string(),
    }
}

fn copy_of(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn an_error_keeps_its_cause_and_says_it_once() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = Error::reading("photo.jpg", &denied);
        assert_eq!(error.to_string(), "photo.jpg: permission denied");
        let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
        assert_eq!(cause.map(io::Error::kind), Some(io::ErrorKind::PermissionDenied));
    }
}
