//! What the program prints and returns.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use whycam::Error;
use whycam::plumbing::{Report, printable, write_whole};

use super::log;

/// The exit status of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    Done,
    Failed,
    /// The command line is wrong.
    Usage,
    Interrupted,
}

/// Options that exclude each other.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

impl ExitStatus {
    pub fn of(error: &anyhow::Error) -> Self {
        let usage = matches!(error.downcast_ref(), Some(Error::Unknown { .. } | Error::Conflict(_)));
        if usage || error.is::<UsageError>() { Self::Usage } else { Self::Failed }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(match status {
            ExitStatus::Done => 0,
            ExitStatus::Failed => 1,
            ExitStatus::Usage => 2,
            ExitStatus::Interrupted => 130,
        })
    }
}

/// Prints no panic of the picture library: it becomes an error that names the file.
pub fn keep_quiet_about_pictures() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !whycam::plumbing::is_guarded() {
            usual(info);
        }
    }));
}

/// Prints a line to standard error.
pub fn say(what: impl Display) {
    // Standard error may be gone, as after SIGHUP.
    let line = printable(&what.to_string());
    let _ = writeln!(io::stderr(), "whycam: {line}");
    log::write(&line);
}

/// A report whose lines are printed at once, unless only errors shall be.
pub fn report(quiet: bool) -> Report {
    if quiet { Report::silent() } else { Report::new(|line| say(line)) }
}

/// Refuses an output that is one of the files which are read, or another output: writing it would destroy that.
pub fn check_outputs(outputs: &[Option<&Path>], read: &[&Path]) -> Result<()> {
    let outputs: Vec<&Path> = outputs.iter().copied().flatten().filter(|output| output.as_os_str() != "-").collect();
    for (number, output) in outputs.iter().enumerate() {
        if let Some(file) = read.iter().find(|file| is_same_file(output, file)) {
            return Err(UsageError(format!("{} is read; name another file for the output", file.display())).into());
        }
        if outputs[..number].contains(output) {
            return Err(UsageError(format!("{} is named for two outputs", output.display())).into());
        }
    }
    Ok(())
}

/// Whether two names are those of one regular file, be it by links.
#[cfg(unix)]
fn is_same_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |path: &Path| path.metadata().ok().filter(std::fs::Metadata::is_file).map(|m| (m.dev(), m.ino()));
    identity(a).is_some_and(|a| identity(b) == Some(a))
}

#[cfg(not(unix))]
fn is_same_file(a: &Path, b: &Path) -> bool {
    a.canonicalize().is_ok_and(|a| a.is_file() && b.canonicalize().is_ok_and(|b| a == b))
}

/// Prints an error of the program.
pub fn say_failure(error: &anyhow::Error) {
    match error.downcast_ref::<Error>() {
        Some(error) => say_error(error),
        None => say(format_args!("{error:#}")),
    }
}

/// Prints an error of the library, with the option that helps.
pub fn say_error(error: &Error) {
    match error {
        Error::Exists { .. } => say(format_args!("{error}; --force overwrites it")),
        Error::NoGradientRule { .. } | Error::Rule { .. } => {
            say(format_args!("{error} (--layer; `whycam inspect` lists the candidates)"));
        }
        Error::NoDisplay(_) => say(format_args!("{error}, or use --serve, or --headless with --record FILE")),
        error => say(error),
    }
}

/// Writes to standard output. It is no error if the reader has gone, as `head` does.
pub fn print(text: &str) -> Result<ExitStatus> {
    match io::stdout().write_all(printable(text).as_bytes()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e).context("cannot write to standard output"),
        _ => Ok(ExitStatus::Done),
    }
}

/// Writes JSON to a file, or to standard output for `-`. Returns whether standard output was used.
pub fn write_json(path: Option<&Path>, json: impl FnOnce() -> String, overwrite: bool) -> Result<bool> {
    match path {
        Some(path) if path.as_os_str() == "-" => print(&json()).map(|_| true),
        Some(path) => {
            write_whole(path, json(), overwrite)?;
            Ok(false)
        }
        None => Ok(false),
    }
}
