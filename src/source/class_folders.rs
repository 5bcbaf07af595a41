//! Photos of known classes: a folder that has a folder for each class.

use std::path::{Path, PathBuf};

use image::RgbImage;

use super::inputs::{Input, list_inputs};
use super::open::open;
use crate::error::{Error, Result};
use crate::media::Report;

/// The photos of one class.
#[derive(Clone, Debug)]
pub struct ClassFolder {
    pub path: PathBuf,
    /// The name of the folder.
    pub name: String,
    /// Sorted by name; empty where the folder has no pictures.
    pub photos: Vec<PathBuf>,
}

/// The class folders in a folder, sorted by name. Hidden ones are left out.
///
/// # Errors
/// The folder cannot be read, or holds no class folders.
pub fn class_folders(folder: &Path) -> Result<Vec<ClassFolder>> {
    if folder.is_file() {
        return Err(Error::input(folder, "a file; give the folder that holds the class folders"));
    }
    let entries = std::fs::read_dir(folder).map_err(|e| Error::reading(folder, &e))?;
    let mut folders: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.is_dir()).collect();
    folders.sort();
    let mut classes = Vec::new();
    for path in folders {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let photos = match list_inputs(&[Input::file(&path)], &Report::silent()) {
            Ok(listed) => listed.into_iter().filter_map(|input| input.path).collect(),
            Err(_) if path.read_dir().is_ok() => Vec::new(),
            Err(error) => return Err(error),
        };
        classes.push(ClassFolder { path, name, photos });
    }
    if classes.iter().all(|class| class.photos.is_empty()) {
        return Err(Error::input(folder, "no class folders with photos in them, such as roses/1.jpg"));
    }
    Ok(classes)
}

/// Reads a whole photo.
///
/// # Errors
/// The file is not a picture, or is damaged.
pub fn read_photo(path: &Path) -> Result<RgbImage> {
    let report = Report::silent();
    let frame = open(&Input::file(path), 1, &report)?.next_frame()?;
    if report.has_damage() {
        return Err(Error::input(path, "it is damaged, so it does not count"));
    }
    frame.map(|frame| frame.picture.into_image()).ok_or_else(|| Error::input(path, "it holds no picture"))
}
