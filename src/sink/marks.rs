//! Which inputs are done, so that a run that broke off can go on.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Ending, ExplainedFrame, Flow, Sink};
use crate::error::{Error, Result};
use crate::explanation::Facts;
use crate::frame::Medium;

/// A file of JSON strings, one a line: first what was asked for, then each input that is done.
pub struct Marks {
    path: PathBuf,
    asked: String,
    /// The inputs that are done.
    pub done: HashSet<String>,
    /// Whether a run began before.
    pub begun: bool,
}

impl Marks {
    /// Reads what earlier runs have done. `asked` is what they must have been asked for.
    ///
    /// # Errors
    /// The file cannot be read, or is of a run that was asked for something else.
    pub fn read(path: &Path, asked: &str) -> Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => String::new(),
            Err(e) => return Err(Error::reading(path, &e)),
        };
        // The last line may be cut off.
        let mut lines = text.lines().filter_map(|line| serde_json::from_str::<String>(line).ok());
        let begun = lines.next();
        if begun.as_ref().is_some_and(|begun| begun != asked) {
            let problem = "it is of a run with other options; go on with those, or remove it to begin anew";
            return Err(Error::input(path, problem));
        }
        let (path, asked) = (path.to_owned(), asked.to_owned());
        Ok(Self { path, asked, done: lines.collect(), begun: begun.is_some() })
    }

    /// A sink that marks each input when the sinks before it in the list are done with it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn sink(&self) -> Result<MarksSink> {
        let failed = |e: std::io::Error| Error::writing(&self.path, &e);
        let file = OpenOptions::new().create(true).append(true).open(&self.path).map_err(failed)?;
        let mut sink = MarksSink { file, path: self.path.clone(), current: None };
        // After a line that was cut off, too.
        let whole = fs::read(&self.path).map_err(failed)?.last().is_none_or(|last| *last == b'\n');
        if !whole {
            sink.file.write_all(b"\n").map_err(failed)?;
        }
        if !self.begun {
            sink.mark(&self.asked)?;
        }
        Ok(sink)
    }
}

pub struct MarksSink {
    file: File,
    path: PathBuf,
    /// What the frames come from at the moment.
    current: Option<Arc<Medium>>,
}

impl MarksSink {
    fn mark(&mut self, text: &str) -> Result<()> {
        let line = serde_json::to_string(text).map_err(|e| Error::output(&self.path, e))? + "\n";
        self.file.write_all(line.as_bytes()).map_err(|e| Error::writing(&self.path, &e))
    }
}

impl Sink for MarksSink {
    fn write(&mut self, explained: &ExplainedFrame, _: &Facts) -> Result<Flow> {
        let medium = &explained.frame.medium;
        if let Some(before) = self.current.replace(Arc::clone(medium))
            && !Arc::ptr_eq(&before, medium)
        {
            self.mark(&before.name)?;
        }
        Ok(Flow::Continue)
    }

    fn finish(&mut self, ending: Ending) -> Result<()> {
        match self.current.take() {
            Some(last) if ending == Ending::Whole => self.mark(&last.name),
            _ => Ok(()),
        }
    }
}
