//! Photos whose class is known: a folder of class folders.

use std::path::{Path, PathBuf};

use image::RgbImage;

use crate::error::{Error, Result};
use crate::source;

/// A photo and its true class.
#[derive(Clone, Debug)]
pub struct Photo {
    pub path: PathBuf,
    pub class_index: usize,
}

/// The photos in a folder of class folders. A class folder bears a label of the model, or the number of a
/// class where the model has no labels.
///
/// # Errors
/// The folder cannot be read, holds no class folder, or one that is no class of the model.
pub fn labelled_photos(folder: &Path, labels: &[String], classes: usize) -> Result<Vec<Photo>> {
    if folder.is_file() {
        return Err(Error::input(folder, "a file; give the folder that holds the class folders"));
    }
    let entries = std::fs::read_dir(folder).map_err(|e| Error::reading(folder, &e))?;
    let mut folders: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.is_dir()).collect();
    folders.sort();
    let mut photos = Vec::new();
    for class in &folders {
        let name = class.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        let number = name.parse::<usize>().ok().filter(|&n| labels.is_empty() && n < classes);
        let class_index = labels.iter().position(|label| *label == name).or(number).ok_or_else(|| {
            let known = if labels.is_empty() { format!("0 to {}", classes - 1) } else { labels.join(", ") };
            Error::input(class, format!("the model has no class of this name; its classes are {known}"))
        })?;
        let listed = source::list_inputs(&[class.display().to_string()])?;
        photos.extend(listed.into_iter().map(|path| Photo { path: path.into(), class_index }));
    }
    if photos.is_empty() {
        return Err(Error::input(folder, "no class folders with photos in them, such as roses/1.jpg"));
    }
    Ok(photos)
}

impl Photo {
    /// # Errors
    /// The file is no picture, or a damaged one.
    pub fn read(&self) -> Result<RgbImage> {
        let frame = source::open(&self.path.display().to_string(), 1)?.next_frame()?;
        frame.map(|frame| frame.picture.into_image()).ok_or_else(|| Error::input(&self.path, "it holds no picture"))
    }
}
