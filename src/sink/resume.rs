//! The log of completed inputs, with which an interrupted run is resumed.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::interface::{Ending, ExplainedFrame, Flow, Sink};
use crate::error::{Error, Result};
use crate::explain::ExplanationContext;
use crate::media::{Medium, Report};

/// A file of JSON, a line each: a string with the options of the run, a string for each completed input, and lists of inputs
/// in the order in which runs found them.
pub struct ResumeLog {
    path: PathBuf,
    asked: String,
    /// The completed inputs.
    pub done: HashSet<String>,
    /// The inputs of all runs. Results are named after their numbers in it, which stay when inputs come or go.
    pub listed: Vec<String>,
    /// How many of them the file has.
    written: usize,
    /// Whether an earlier run wrote the log.
    pub begun: bool,
}

impl ResumeLog {
    /// Reads the log of earlier runs. `asked` describes everything that changes results, and must be the same; `options` names
    /// it in the error.
    ///
    /// # Errors
    /// The file cannot be read, or belongs to a run that was asked for something else.
    pub fn read(path: &Path, asked: &str, options: &str) -> Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => String::new(),
            Err(e) => return Err(Error::reading(path, &e)),
        };
        let (mut strings, mut listed) = (Vec::new(), Vec::new());
        // The last line may be incomplete.
        for line in text.lines().filter_map(|line| serde_json::from_str(line).ok()) {
            match line {
                Line::Text(text) => strings.push(text),
                Line::List(names) => listed.extend(names),
            }
        }
        let mut strings = strings.into_iter();
        let begun = strings.next();
        if begun.as_ref().is_some_and(|begun| begun != asked) {
            let problem = format!("it belongs to a run with other {options}; use those, or remove it to start again");
            return Err(Error::input(path, problem));
        }
        let (path, asked) = (path.to_owned(), asked.to_owned());
        let written = listed.len();
        Ok(Self { path, asked, done: strings.collect(), listed, written, begun: begun.is_some() })
    }

    /// Adds the inputs that no earlier run has found.
    pub fn list<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        let known: HashSet<String> = self.listed.iter().cloned().collect();
        self.listed.extend(names.filter(|name| !known.contains(*name)).map(str::to_owned));
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
        let new = &self.listed[self.written..];
        if !new.is_empty() {
            log.write(&serde_json::json!(new))?;
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

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Text(String),
    List(Vec<String>),
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
        self.write(&entry.into())
    }

    fn write(&mut self, value: &Value) -> Result<()> {
        let line = format!("{value}\n");
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
