//! Inputs, and listing those in folders.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::media::{Report, name_of};

const PICTURES: &[&str] = &[
    "avif", "bmp", "gif", "heic", "heif", "jfif", "jpe", "jpeg", "jpg", "pbm", "pgm", "png", "pnm", "ppm", "tga",
    "tif", "tiff", "webp",
];
const FILMS: &[&str] = &[
    "3g2", "3gp", "asf", "avi", "flv", "h264", "h265", "hevc", "m2ts", "m4v", "mjpeg", "mjpg", "mkv", "mov", "mp4",
    "mpeg", "mpg", "mts", "mxf", "nut", "ogv", "ts", "vob", "webm", "wmv", "y4m",
];

/// A file, a folder or the address of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Input {
    /// Its name in messages and JSON lines.
    pub name: String,
    /// Its path; `None` for an address.
    pub path: Option<PathBuf>,
}

impl Input {
    /// A file or a folder.
    pub fn file(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        Self { name: name_of(path), path: Some(path.to_owned()) }
    }

    /// Whether it is a network address rather than a file.
    pub fn is_address(&self) -> bool {
        self.path.is_none()
    }

    pub fn is_folder(&self) -> bool {
        self.path.as_ref().is_some_and(|path| path.is_dir())
    }
}

impl From<&OsStr> for Input {
    /// An address, if the text has the form of one and no file has that name.
    fn from(text: &OsStr) -> Self {
        match text.to_str().filter(|text| text.contains("://") && !Path::new(text).exists()) {
            Some(address) => Self { name: address.to_owned(), path: None },
            None => Self::file(text),
        }
    }
}

impl From<&OsString> for Input {
    fn from(text: &OsString) -> Self {
        Self::from(text.as_os_str())
    }
}

impl From<&str> for Input {
    fn from(text: &str) -> Self {
        Self::from(OsStr::new(text))
    }
}

/// Replaces each folder by the pictures and films in it and in its subfolders, sorted by name. The results of earlier
/// runs (`*.whycam.*`) are left out. A subfolder that cannot be read goes to the report, and so does the number of other
/// files.
///
/// # Errors
/// An input is absent, or a folder has neither pictures nor films.
pub fn list_inputs(inputs: &[Input], report: &Report) -> Result<Vec<Input>> {
    let mut walk = Walk { listed: Vec::new(), entered: HashSet::new(), left_out: BTreeMap::new(), report };
    for input in inputs {
        let Some(path) = input.path.as_ref().filter(|path| path.is_dir()) else {
            if let Some(path) = &input.path {
                // What may not be read is no absent file.
                path.metadata().map_err(|e| Error::reading(path, &e))?;
            }
            walk.listed.push(input.clone());
            continue;
        };
        let found = walk.enter(path);
        walk.tell_left_out(&input.name);
        if let Found::Nothing = found {
            let known = [PICTURES, FILMS].concat().join(", ");
            let empty = Error::input(path, format!("no pictures or films in this folder (looked for {known})"));
            if inputs.len() == 1 {
                return Err(empty);
            }
            report.fail(&input.name, empty);
        } else if let Found::Failure(error) = found {
            if inputs.len() == 1 {
                return Err(error);
            }
            report.fail(&input.name, error);
        }
    }
    Ok(walk.listed)
}

struct Walk<'r> {
    listed: Vec<Input>,
    /// The folders that were entered, without links: a link may lead to a folder above it.
    entered: HashSet<PathBuf>,
    /// The number of other files, by extension.
    left_out: BTreeMap<String, usize>,
    report: &'r Report,
}

/// What is in a folder.
enum Found {
    Some,
    Nothing,
    /// It was entered before.
    Before,
    /// It cannot be read.
    Failure(Error),
}

impl Walk<'_> {
    fn enter(&mut self, folder: &Path) -> Found {
        if !self.entered.insert(folder.canonicalize().unwrap_or_else(|_| folder.to_owned())) {
            return Found::Before;
        }
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(e) => return Found::Failure(Error::reading(folder, &e)),
        };
        let before = self.listed.len();
        let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with('.') || name.contains(".whycam.") {
                continue;
            }
            if path.is_dir() {
                if let Found::Failure(error) = self.enter(&path) {
                    self.report.fail(&name_of(&path), error);
                }
                continue;
            }
            let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
            let known = PICTURES.contains(&extension.as_str()) || FILMS.contains(&extension.as_str());
            // A pipe would be waited for.
            if known && path.is_file() {
                self.listed.push(Input::file(&path));
            } else {
                *self.left_out.entry(extension).or_default() += 1;
            }
        }
        if self.listed.len() > before { Found::Some } else { Found::Nothing }
    }

    fn tell_left_out(&mut self, folder: &str) {
        let left_out = std::mem::take(&mut self.left_out);
        let count: usize = left_out.values().sum();
        if count == 0 {
            return;
        }
        let kind = |(extension, count): (&String, &usize)| match extension.as_str() {
            "" => format!("{count} without an extension"),
            extension => format!("{count} .{extension}"),
        };
        let kinds = left_out.iter().map(kind).collect::<Vec<_>>().join(", ");
        let files = match count {
            1 => "1 file that is neither a picture nor a film".to_owned(),
            count => format!("{count} files that are neither pictures nor films"),
        };
        self.report.tell(format!("{folder}: left out {files} ({kinds})"));
    }
}
