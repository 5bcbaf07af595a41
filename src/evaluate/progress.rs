//! What an evaluation has measured, so that a run that is continued does not measure it again.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::adcc::Adcc;
use super::average_drop::Change;
use super::insertion_deletion::Curves;
use super::photos::Photo;
use super::report::{Case, Measured, MethodName, method_name};
use super::road::Road;
use crate::cam::Method;
use crate::error::{Error, Result};
use crate::media::name_of;

/// A line of what is measured.
#[derive(Deserialize)]
#[serde(untagged)]
enum LogLine {
    Photo(PhotoMeasured),
    Grid(GridMeasured),
    /// All of a method.
    Method(Measured),
}

/// The measures of one method on one photo.
#[derive(Clone, Serialize, Deserialize)]
pub struct PhotoMeasured {
    #[serde(deserialize_with = "method_name")]
    pub method: MethodName,
    pub case: Case,
    pub curves: Curves,
    pub change: Change,
    pub adcc: Adcc,
    pub road: Road,
    /// The mean correlation with maps of the changed photo, -1..=1.
    pub stability: f32,
    /// The offset of the map from what it shows, `[x, y]` in pixels of the input; `None` where it is empty.
    pub displacement: Option<[f32; 2]>,
}

/// The pointing game of one method on one grid.
#[derive(Clone, Serialize, Deserialize)]
pub struct GridMeasured {
    #[serde(deserialize_with = "method_name")]
    pub method: MethodName,
    /// The names of the photos of the grid, row by row.
    pub photos: [String; 4],
    /// The energy of the map of each photo's class in its tile, 0..=1.
    pub shares: [f32; 4],
}

/// Where a line of what is measured goes.
type Keep<'p> = dyn FnMut(&str) -> Result<()> + 'p;

/// Results to reuse, and where new results and the progress go.
pub struct Progress<'p> {
    done: Vec<LogLine>,
    keep: Option<&'p mut Keep<'p>>,
    report: &'p mut dyn FnMut(f32),
    /// The number of methods before the one that is measured, and of all.
    methods: (usize, usize),
}

impl<'p> Progress<'p> {
    /// `done` are lines of an earlier run; `keep`, if any, gets a line for each photo, grid and method as soon as it is measured,
    /// and `report` the progress, 0..=1. Lines that say something else are passed over.
    pub fn new<'l>(
        done: impl Iterator<Item = &'l str>,
        keep: Option<&'p mut Keep<'p>>,
        report: &'p mut dyn FnMut(f32),
    ) -> Self {
        let done = done.filter_map(|line| serde_json::from_str(line).ok()).collect();
        Self { done, keep, report, methods: (0, 1) }
    }

    /// Begins with a method after `before` others of `all`. Returns what an earlier run has measured of all of it.
    pub(super) fn begin(&mut self, method: &Method, before: usize, all: usize) -> Option<Measured> {
        self.methods = (before, all);
        let of_it = |line: &LogLine| matches!(line, LogLine::Method(measured) if measured.method == method.name);
        let at = self.done.iter().position(of_it)?;
        let LogLine::Method(measured) = self.done.swap_remove(at) else { return None };
        Some(measured)
    }

    /// Tells how much of the method is measured, 0..=1.
    pub(super) fn tell(&mut self, share: f32) {
        let (before, all) = self.methods;
        (self.report)((before as f32 + share) / all as f32);
    }

    /// Keeps what is measured: a photo, a grid or a method.
    pub(super) fn keep(&mut self, measured: &impl Serialize) -> Result<()> {
        let Some(keep) = &mut self.keep else { return Ok(()) };
        keep(&serde_json::to_string(measured).map_err(|e| Error::output("what is measured", e))?)
    }

    /// What an earlier run has measured of a method on a photo.
    pub(super) fn of_photo(&self, method: &Method, photo: &Photo) -> Option<PhotoMeasured> {
        // A line has the name of a photo for its path.
        let name = name_of(&photo.path);
        self.done.iter().find_map(|line| match line {
            LogLine::Photo(of) if of.method == method.name && of.case.photo.path == Path::new(&name) => {
                Some(of.clone())
            }
            _ => None,
        })
    }

    /// What an earlier run has measured of a method on a grid.
    pub(super) fn of_grid(&self, method: &Method, photos: &[String; 4]) -> Option<GridMeasured> {
        self.done.iter().find_map(|line| match line {
            LogLine::Grid(of) if of.method == method.name && of.photos == *photos => Some(of.clone()),
            _ => None,
        })
    }
}
