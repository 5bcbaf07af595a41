//! Several inputs one after the other, folders spread out into their pictures.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::still::StillSource;
use super::{Source, is_address, is_still, open};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::permits::Permits;

const PICTURES: &[&str] = &["bmp", "gif", "jpeg", "jpg", "png", "tif", "tiff", "webp"];
const FILMS: &[&str] = &["avi", "m4v", "mkv", "mov", "mp4", "mpg", "ts", "webm"];

/// Spreads folders, and the folders in them, out into the pictures and films that they hold, in
/// the order of their names. Results of earlier runs are left out.
///
/// # Errors
/// An input is absent, or a folder holds neither pictures nor films.
pub fn list_inputs(inputs: &[String]) -> Result<Vec<String>> {
    let mut listed = Vec::new();
    for input in inputs {
        let path = Path::new(input);
        if is_address(input) || !path.is_dir() {
            if !is_address(input) && !path.exists() {
                return Err(Error::input(path, "no such file or folder"));
            }
            listed.push(input.clone());
            continue;
        }
        let before = listed.len();
        walk(path, &mut listed)?;
        if listed.len() == before {
            let known = [PICTURES, FILMS].concat().join(", ");
            return Err(Error::input(path, format!("no pictures or films in this folder (looked for {known})")));
        }
    }
    Ok(listed)
}

fn walk(folder: &Path, listed: &mut Vec<String>) -> Result<()> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::reading(folder, &e))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            walk(&path, listed)?;
            continue;
        }
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let known = PICTURES.contains(&extension.as_str()) || FILMS.contains(&extension.as_str());
        if known && !name.contains(".whycam.") {
            listed.push(path.display().to_string());
        }
    }
    Ok(())
}

/// Inputs that could not be read while others went on.
pub type Failures = Arc<Mutex<Vec<Error>>>;

/// Reads one input after the other. With several, one that fails is noted in `failures` and the
/// next goes on; a single one that fails is the sequence's own error.
pub struct SequenceSource {
    inputs: VecDeque<String>,
    single: bool,
    current: Option<Box<dyn Source>>,
    /// Pictures that are read ahead, each on a thread of its own.
    ahead: VecDeque<Ahead>,
    threads: usize,
    permits: Permits,
    failures: Failures,
    /// Of the inputs that are read to their end.
    frames_before: u64,
    frames_of_current: u64,
}

enum Ahead {
    Picture(JoinHandle<Result<StillSource>>),
    /// A film, or whatever else is not read ahead.
    Other(String),
}

impl SequenceSource {
    /// Reads on so many threads, each with a permit while it does.
    ///
    /// # Errors
    /// The only input cannot be opened.
    pub fn open(inputs: Vec<String>, threads: usize, permits: Permits, failures: Failures) -> Result<Self> {
        let single = inputs.len() == 1;
        let mut inputs = VecDeque::from(inputs);
        let current = if single { inputs.pop_front().map(|input| open(&input, threads)).transpose()? } else { None };
        let ahead = VecDeque::new();
        Ok(Self { inputs, single, current, ahead, threads, permits, failures, frames_before: 0, frames_of_current: 0 })
    }

    fn fail(&mut self, error: Error) -> Result<()> {
        self.current = None;
        if self.single {
            return Err(error);
        }
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(error);
        Ok(())
    }

    /// Begins to read the inputs that come next.
    fn read_ahead(&mut self) {
        while self.ahead.len() < self.threads.max(1)
            && let Some(input) = self.inputs.pop_front()
        {
            let permits = self.permits.clone();
            let path = PathBuf::from(&input);
            let read = move || {
                let _permit = permits.take();
                StillSource::open(&path)
            };
            let reader = is_still(&input).then(|| thread::Builder::new().name("read ahead".into()).spawn(read).ok());
            self.ahead.push_back(reader.flatten().map_or(Ahead::Other(input), Ahead::Picture));
        }
    }

    fn open_next(&mut self) -> Option<Result<Box<dyn Source>>> {
        self.read_ahead();
        Some(match self.ahead.pop_front()? {
            Ahead::Other(input) => open(&input, self.threads),
            Ahead::Picture(reader) => {
                let broken = || Error::input("picture", "reading it broke off; please report this");
                let read = reader.join().unwrap_or_else(|_| Err(broken()));
                read.map(|still| Box::new(still) as Box<dyn Source>)
            }
        })
    }
}

impl Source for SequenceSource {
    fn next_frame(&mut self) -> Result<Option<Frame>> {
        loop {
            if let Some(source) = &mut self.current {
                let next = {
                    let _permit = self.permits.take();
                    source.next_frame()
                };
                match next {
                    Ok(Some(frame)) => {
                        self.frames_of_current += 1;
                        return Ok(Some(frame));
                    }
                    Ok(None) => {
                        self.frames_before += std::mem::take(&mut self.frames_of_current);
                        self.current = None;
                    }
                    Err(error) => self.fail(error)?,
                }
            }
            match self.open_next() {
                Some(Ok(source)) => self.current = Some(source),
                Some(Err(error)) => self.fail(error)?,
                None => return Ok(None),
            }
        }
    }

    /// Exact for one input; for several, each is counted as one more frame at least.
    fn frame_count(&self) -> Option<u64> {
        let current = self.current.as_ref().map_or(Some(0), |source| source.frame_count())?;
        Some(self.frames_before + current + (self.ahead.len() + self.inputs.len()) as u64)
    }
}
