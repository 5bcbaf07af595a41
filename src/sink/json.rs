//! One JSON object a line.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::boxes::{HotBox, hot_boxes};
use super::maps::MapNames;
use super::{ExplainedFrame, Flow, Sink};
use crate::cam::CamMap;
use crate::error::{Error, Result};
use crate::explanation::{Explanation, Facts, Ranked};
use crate::frame::Frame;
use crate::output::{PartFile, check_free};

pub struct JsonSink {
    writer: Box<dyn Write>,
    path: PathBuf,
    map_files: Option<MapNames>,
    boxes: Option<f32>,
}

#[derive(Serialize)]
struct Line<'a> {
    frame: u64,
    pts_us: i64,
    input: &'a str,
    width: u32,
    height: u32,
    class_index: usize,
    label: String,
    probability: f32,
    logit: f32,
    /// Whether the picture shows any of the classes, and how familiar it is to a model that says so.
    sure: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    familiarity: Option<f32>,
    top: Vec<Class>,
    map: Map,
    #[serde(skip_serializing_if = "Option::is_none")]
    map_file: Option<String>,
    /// Of several classes that were asked for, those after the first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<Other>,
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    boxes: Option<Vec<HotBox>>,
    method: &'a str,
    layer: &'a str,
    model: &'a str,
}

#[derive(Serialize)]
struct Class {
    class_index: usize,
    label: String,
    probability: f32,
}

#[derive(Serialize)]
struct Other {
    class_index: usize,
    label: String,
    probability: f32,
    logit: f32,
    map: Map,
    #[serde(skip_serializing_if = "Option::is_none")]
    map_file: Option<String>,
}

#[derive(Serialize)]
struct Map {
    height: usize,
    width: usize,
    max: f32,
    min: f32,
    evidence: bool,
}

impl From<&CamMap> for Map {
    fn from(map: &CamMap) -> Self {
        let (height, width) = map.values.dim();
        Self { height, width, max: map.max, min: map.min, evidence: map.evidence }
    }
}

impl JsonSink {
    /// Writes to a file, or to standard output for `-`. `map_files` says that maps are written
    /// beside, whose names the lines then bear. `boxes` is the share of a map's largest value from which on
    /// a region is hot, and asks for the boxes of these.
    ///
    /// # Errors
    /// The file cannot be made, or exists and `overwrite` is false.
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

    /// Goes on with a file of an earlier run: the lines of inputs that are done stay, those of others go.
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
        struct Of {
            input: String,
        }
        let before = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(Error::reading(path, &e)),
        };
        let mut file = PartFile::new(path, true)?;
        let of_done = |line: &&str| serde_json::from_str::<Of>(line).is_ok_and(|of| done.contains(&of.input));
        let kept: String = before.split_inclusive('\n').filter(of_done).collect();
        fs::write(&file.part, kept).map_err(|e| Error::writing(path, &e))?;
        file.complete()?;
        let file = File::options().append(true).open(path).map_err(|e| Error::writing(path, &e))?;
        Ok(Self { writer: Box::new(BufWriter::new(file)), path: path.to_owned(), map_files, boxes })
    }
}

/// One frame's explanation as a JSON object, as [`JsonSink`] writes it, without files of maps and boxes.
///
/// # Errors
/// A number in it cannot be written as JSON.
pub fn json_line(frame: &Frame, explanation: &Explanation, facts: &Facts) -> Result<String> {
    let line = Line::of(frame, explanation, facts, |_| None, None);
    serde_json::to_string(&line).map_err(|e| Error::output(&frame.medium.name, e))
}

impl<'a> Line<'a> {
    /// `map_file` names the file of the map of each class that was asked for.
    fn of(
        frame: &'a Frame,
        explanation: &Explanation,
        facts: &'a Facts,
        map_file: impl Fn(usize) -> Option<String>,
        boxes: Option<Vec<HotBox>>,
    ) -> Self {
        let class = |ranked: &Ranked| Class {
            class_index: ranked.class_index,
            label: facts.label(ranked.class_index),
            probability: ranked.probability,
        };
        let others = explanation.others.iter().zip(1..).map(|(other, class)| Other {
            class_index: other.class_index,
            label: facts.label(other.class_index),
            probability: other.probability,
            logit: other.logit,
            map: Map::from(&other.map),
            map_file: map_file(class),
        });
        Self {
            frame: frame.index,
            pts_us: frame.time.as_us(),
            input: &frame.medium.name,
            width: frame.picture.width(),
            height: frame.picture.height(),
            class_index: explanation.class_index,
            label: facts.label(explanation.class_index),
            probability: explanation.probability,
            logit: explanation.logit,
            sure: explanation.is_sure(),
            familiarity: explanation.familiarity.map(|familiarity| familiarity.value),
            top: explanation.top.iter().map(class).collect(),
            map: Map::from(&explanation.map),
            map_file: map_file(0),
            others: others.collect(),
            against: facts.against.map(|class| facts.label(class)),
            boxes,
            method: &facts.method,
            layer: &facts.layer,
            model: &facts.model,
        }
    }
}

impl Sink for JsonSink {
    fn write(&mut self, explained: &ExplainedFrame, facts: &Facts) -> Result<Flow> {
        let ExplainedFrame { frame, explanation, .. } = explained;
        let map_file = |class: usize| self.map_files.as_ref().and_then(|names| names.file(explained, class));
        let boxes = match self.boxes {
            Some(share) => Some(hot_boxes(&explanation.map, &explanation.region, share, frame.picture.dimensions())?),
            None => None,
        };
        let line = Line::of(frame, explanation, facts, map_file, boxes);
        let text = serde_json::to_string(&line).map_err(|e| Error::output(&self.path, e))?;
        // Each line goes out whole, so that a reader of a live stream sees it at once.
        let written = writeln!(self.writer, "{text}").and_then(|()| self.writer.flush());
        match written {
            Ok(()) => Ok(Flow::Continue),
            // The reader of a pipe has gone, as `head` does.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(Flow::Stop),
            Err(e) => Err(Error::writing(&self.path, &e)),
        }
    }
}
