//! The sink that writes JSON lines.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::line::Line;
use crate::error::{Error, Result};
use crate::explain::{Explanation, ExplanationContext};
use crate::files::{PartFile, check_free};
use crate::media::Frame;
use crate::sink::boxes::hot_boxes;
use crate::sink::interface::{ExplainedFrame, Flow, Sink};
use crate::sink::maps::MapNames;

/// Writes one JSON object per line for each explained frame.
pub struct JsonSink {
    writer: Box<dyn Write>,
    path: PathBuf,
    map_files: Option<MapNames>,
    boxes: Option<f32>,
}

impl JsonSink {
    /// Writes to a file, or to standard output for `-`.
    ///
    /// `map_files` names the files of the maps, if another sink writes them. `boxes` asks for the boxes of hot regions,
    /// which are at least this share, 0..=1, of the largest value of the map.
    ///
    /// # Errors
    /// The file cannot be created, or exists and `overwrite` is false.
    pub fn new(path: &Path, map_files: Option<MapNames>, boxes: Option<f32>, overwrite: bool) -> Result<Self> {
        let writer: Box<dyn Write> = if path == Path::new("-") {
            Box::new(BufWriter::new(io::stdout()))
        } else {
            check_free(path, overwrite)?;
            let file = File::create(path).map_err(|e| Error::writing(path, &e))?;
            Box::new(BufWriter::new(file))
        };
        Ok(Self { writer, path: path.to_owned(), map_files, boxes })
    }

    /// Continues the file of an earlier run: keeps the lines of the inputs in `done` and removes all others. Standard output
    /// gets new lines alone.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn resume(
        path: &Path,
        map_files: Option<MapNames>,
        boxes: Option<f32>,
        done: &HashSet<String>,
    ) -> Result<Self> {
        #[derive(Deserialize)]
        struct LineInput {
            input: String,
        }
        if path == Path::new("-") {
            return Self::new(path, map_files, boxes, false);
        }
        let before = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(Error::reading(path, &e)),
        };
        let mut file = PartFile::new(path, true)?;
        let is_done =
            |line: &&str| serde_json::from_str::<LineInput>(line).is_ok_and(|line| done.contains(&line.input));
        let kept: String = before.split_inclusive('\n').filter(is_done).collect();
        fs::write(&file.part, kept).map_err(|e| Error::writing(path, &e))?;
        file.complete()?;
        let file = File::options().append(true).open(path).map_err(|e| Error::writing(path, &e))?;
        Ok(Self { writer: Box::new(BufWriter::new(file)), path: path.to_owned(), map_files, boxes })
    }
}

impl Sink for JsonSink {
    fn write(&mut self, explained: &ExplainedFrame, context: &ExplanationContext) -> Result<Flow> {
        let ExplainedFrame { frame, explanation, .. } = explained;
        let map_file = |index: usize| self.map_files.as_ref().map(|names| names.file(explained, index));
        let boxes = match self.boxes {
            Some(share) => Some(hot_boxes(&explanation.map, &explanation.region, share, frame.picture.dimensions())?),
            None => None,
        };
        let line = Line::new(frame, explanation, context, map_file, boxes);
        let text = serde_json::to_string(&line).map_err(|e| Error::output(&self.path, e))?;
        // Flushed per line, so that a reader of a live stream sees each line at once.
        let written = writeln!(self.writer, "{text}").and_then(|()| self.writer.flush());
        match written {
            Ok(()) => Ok(Flow::Continue),
            // The reader closed the pipe, as `head` does.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(Flow::Stop),
            Err(e) => Err(Error::writing(&self.path, &e)),
        }
    }
}

/// The explanation of one frame as a JSON object, as [`JsonSink`] writes it, without map files and boxes. `input` is the name
/// of what the frame comes from.
///
/// # Errors
/// A value cannot be written as JSON.
pub fn json_line(
    frame: &Frame,
    input: &str,
    explanation: &Explanation,
    context: &ExplanationContext,
) -> Result<String> {
    let mut line = Line::new(frame, explanation, context, |_| None, None);
    line.input = input;
    serde_json::to_string(&line).map_err(|e| Error::output(&frame.medium.name, e))
}
