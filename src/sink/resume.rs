//! The log of completed inputs, with which an interrupted run is resumed.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::interface::{Ending, ExplainedFrame, Flow, Sink};
use crate::error::{Error, Result};
use crate::explain::ExplanationContext;
use crate::media::{Medium, Report};

/// A file of JSON strings, one per line: first the options of the run, then each completed input.
pub struct ResumeLog {
    path: PathBuf,
    asked: String,
    /// The completed inputs.
    pub done: HashSet<String>,
    /// Whether an earlier run wrote the log.
    pub begun: bool,
}

impl ResumeLog {
    /// Reads the log of earlier runs. `asked` describes the options that change results; they must be the same.
    ///
    /// # Errors
    /// The file cannot be read, or belongs to a run with other options.
    pub fn read(path: &Path, asked: &str) -> Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => String::new(),
            Err(e) => return Err(Error::reading(path, &e)),
        };
        // The last line may be incomplete.
        let mut lines = text.lines().filter_map(|line| serde_json::from_str::<String>(line).ok());
        let begun = lines.next();
        if begun.as_ref().is_some_and(|begun| begun != asked) {
            let problem = "it belongs to a run with other options; use those, or remove it to start again";
            return Err(Error::input(path, problem));
        }
        let (path, asked) = (path.to_owned(), asked.to_owned());
        Ok(Self { path, asked, done: lines.collect(), begun: begun.is_some() })
    }

    /// Opens the log for more entries.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn open(&self) -> Result<OpenLog> {
        let failed = |e: std::io::Error| Error::writing(&self.path, &e);
        let file = OpenOptions::new().create(true).append(true).open(&self.path).map_err(failed)?;
        let mut log = OpenLog { file, path: self.path.clone() };
        // After a line that was cut off, too.
        let complete = fs::read(&self.path).map_err(failed)?.last().is_none_or(|last| *last == b'\n');
        if !complete {
            log.file.write_all(b"\n").map_err(failed)?;
        }
        if !self.begun {
            log.add(&self.asked)?;
        }
        Ok(log)
    }

    /// A sink that logs each input once the sinks before it in the list have written it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn sink(&self, report: Report) -> Result<ResumeSink> {
        Ok(ResumeSink { log: self.open()?, report, current: None })
    }
}

/// A log that takes more entries.
pub struct OpenLog {
    file: File,
    path: PathBuf,
}

impl OpenLog {
    /// # Errors
    /// The file cannot be written.
    pub fn add(&mut self, entry: &str) -> Result<()> {
        let line = serde_json::to_string(entry).map_err(|e| Error::output(&self.path, e))? + "\n";
        self.file.write_all(line.as_bytes()).map_err(|e| Error::writing(&self.path, &e))
    }
}

/// Logs each input when its last frame is written.
pub struct ResumeSink {
    log: OpenLog,
    /// Inputs that failed are tried again by the next run.
    report: Report,
    /// The medium of the last frame.
    current: Option<Arc<Medium>>,
}

impl ResumeSink {
    fn log_completed(&mut self, medium: &Medium) -> Result<()> {
        if self.report.has_failed(&medium.name) { Ok(()) } else { self.log.add(&medium.name) }
    }
}

impl Sink for ResumeSink {
    fn write(&mut self, explained: &ExplainedFrame, _: &ExplanationContext) -> Result<Flow> {
        let medium = &explained.frame.medium;
        if let Some(before) = self.current.replace(Arc::clone(medium))
            && !Arc::ptr_eq(&before, medium)
        {
            self.log_completed(&before)?;
        }
        Ok(Flow::Continue)
    }

    fn finish(&mut self, ending: Ending) -> Result<()> {
        match self.current.take() {
            Some(last) if ending == Ending::Whole => self.log_completed(&last),
            _ => Ok(()),
        }
    }
}
