//! Where explained frames go. A sink knows neither sources nor models.

mod animation;
mod boxes;
#[cfg(feature = "video")]
pub mod film;
mod json;
mod maps;
mod marks;
mod picture;
mod results;

use std::path::{Path, PathBuf};

pub use boxes::{HotBox, hot_boxes};
pub use json::{JsonSink, json_line};
pub use maps::{MapFormat, MapNames, MapsSink};
pub use marks::{Marks, MarksSink};
pub use results::{Place, ResultsSink};

use crate::error::{Error, Result};
use crate::explainer::{Explanation, Facts};
use crate::frame::Frame;

/// A frame with its explanation; its picture bears the overlay.
#[derive(Clone)]
pub struct ExplainedFrame {
    pub frame: Frame,
    pub explanation: Explanation,
    /// Counted from 0 over the whole run.
    pub number: u64,
}

/// How films are encoded.
#[derive(Clone, Debug, Default)]
pub struct Encoding {
    /// FFmpeg's name of the encoder; else one that goes with the file's name.
    pub encoder: Option<String>,
    /// The encoder's constant rate factor: the smaller, the better and the larger the film.
    pub quality: Option<u8>,
    /// 0 leaves the choice to the encoder.
    pub threads: usize,
}

/// Whether a sink wants more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Continue,
    /// The user has closed it.
    Stop,
}

/// How the frames came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The last frame of the source was written.
    Whole,
    /// The run was stopped before that.
    Cut,
}

/// A taker of explained frames, on the thread that gives them.
pub trait Sink {
    /// # Errors
    /// The frame cannot be put there.
    fn write(&mut self, explained: &ExplainedFrame, facts: &Facts) -> Result<Flow>;

    /// Called while no frame comes.
    ///
    /// # Errors
    /// The sink broke meanwhile.
    fn idle(&mut self) -> Result<Flow> {
        Ok(Flow::Continue)
    }

    /// How many frames it did not write, since it did not keep up.
    fn left_out(&self) -> u64 {
        0
    }

    /// Completes what was written. Called once, also after an interruption.
    ///
    /// # Errors
    /// The end cannot be written.
    fn finish(&mut self, _: Ending) -> Result<()> {
        Ok(())
    }
}

/// A file that gets its final name only when it is complete.
struct PartFile {
    path: PathBuf,
    part: PathBuf,
    done: bool,
}

impl PartFile {
    /// # Errors
    /// `path` exists and may not be overwritten, or lies in no folder.
    fn new(path: &Path, overwrite: bool) -> Result<Self> {
        if path.exists() && !overwrite {
            return Err(Error::output(path, "it exists already; --force overwrites it"));
        }
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|f| !f.is_dir()) {
            return Err(Error::output(path, format!("there is no folder {}", folder.display())));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if overwrite {
            sweep(folder.unwrap_or(Path::new(".")), &name);
        }
        let part = path.with_file_name(format!(".{}.part.{name}", std::process::id()));
        Ok(Self { path: path.to_owned(), part, done: false })
    }

    /// One that has its final name from the start: a recording, of which what is written must stay whatever happens.
    ///
    /// # Errors
    /// As [`PartFile::new`].
    #[cfg(feature = "video")]
    fn in_place(path: &Path, overwrite: bool) -> Result<Self> {
        let mut file = Self::new(path, overwrite)?;
        file.part.clone_from(&file.path);
        file.done = true;
        Ok(file)
    }

    /// # Errors
    /// The file cannot get its name.
    fn complete(&mut self) -> Result<()> {
        if !self.done {
            std::fs::rename(&self.part, &self.path).map_err(|e| Error::writing(&self.path, &e))?;
            self.done = true;
        }
        Ok(())
    }
}

/// Removes what runs that were killed have left of a file. Which processes live, Linux alone says in this way.
fn sweep(folder: &Path, name: &str) {
    let Some(entries) = std::fs::read_dir(folder).ok().filter(|_| cfg!(target_os = "linux")) else { return };
    for entry in entries.flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let process = file.strip_prefix('.').and_then(|rest| rest.strip_suffix(&format!(".part.{name}")));
        if process.is_some_and(|id| id.parse::<u32>().is_ok() && !Path::new("/proc").join(id).exists()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if !self.done {
            let _ = std::fs::remove_file(&self.part);
        }
    }
}
