//! What can go wrong, sorted by whose it is to mend.

use std::io;
use std::path::{Path, PathBuf};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every message names the thing, the place, and, where there is one, the mend.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A picture, film, folder or manifest that cannot be used.
    #[error("{}: {problem}", path.display())]
    Input { path: PathBuf, problem: String },

    /// A model that cannot be read, differentiated or run.
    #[error("model {model}: {problem}")]
    Model { model: String, problem: String },

    /// An op on the way from the logits to the target layer that has no gradient rule.
    #[error(
        "op {op} (node {node}) has no gradient rule; choose a layer behind it with --layer \
         (whycam inspect lists the candidates)"
    )]
    NoGradientRule { op: String, node: String },

    /// A rule that does not cover the form in which its op stands in the model.
    #[error("op {op} (node {node}): {problem}")]
    Rule { op: String, node: String, problem: String },

    /// A name given by the user that nothing answers to.
    #[error("no {what} is called '{name}'; {known}")]
    Unknown { what: &'static str, name: String, known: String },

    /// Options that do not go together.
    #[error("{0}")]
    Together(String),

    /// An explanation of many runs that was given up between two of them, as it was asked to be.
    #[error("the explanation was given up before it was done")]
    GivenUp,

    /// The inference runtime refused the model or failed in a run.
    #[error("{runtime}: {problem}")]
    Runtime { runtime: String, problem: String },

    #[error("camera {camera}: {problem}")]
    Camera { camera: String, problem: String },

    #[error("window: {0}")]
    Window(String),

    /// An output that cannot be written.
    #[error("cannot write {}: {problem}", path.display())]
    Output { path: PathBuf, problem: String },
}

impl Error {
    pub fn input(path: impl AsRef<Path>, problem: impl ToString) -> Self {
        Self::Input { path: path.as_ref().to_owned(), problem: problem.to_string() }
    }

    pub fn model(model: impl ToString, problem: impl ToString) -> Self {
        Self::Model { model: model.to_string(), problem: problem.to_string() }
    }

    pub fn output(path: impl AsRef<Path>, problem: impl ToString) -> Self {
        Self::Output { path: path.as_ref().to_owned(), problem: problem.to_string() }
    }

    /// An I/O error on reading `path`, in words that say what to do.
    pub fn reading(path: impl AsRef<Path>, error: &io::Error) -> Self {
        Self::input(path, io_problem(error))
    }

    /// An I/O error on writing `path`, in words that say what to do.
    pub fn writing(path: impl AsRef<Path>, error: &io::Error) -> Self {
        Self::output(path, io_problem(error))
    }
}

fn io_problem(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or folder".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::StorageFull => "the disk is full; free some space or choose another place".into(),
        _ => error.to_string(),
    }
}
