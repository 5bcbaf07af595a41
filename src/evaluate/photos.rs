//! Photos of known classes: a folder of class folders.

use std::path::{Path, PathBuf};

use image::RgbImage;

use crate::error::{Error, Result};
use crate::media::Report;
use crate::model::find_class;
use crate::source::{self, Input};

/// A photo and its true class.
#[derive(Clone, Debug)]
pub struct Photo {
    pub path: PathBuf,
    pub class_index: usize,
}

/// The photos in a folder of class folders. The name of a class folder is a label of the model, in upper or lower case,
/// or the index of a class.
///
/// # Errors
/// The folder cannot be read, has no class folders with photos, or has a folder that is no class of the model.
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
        let class_index = find_class(&name, labels, classes).map_err(|_| {
            let known = if labels.is_empty() { format!("0 to {}", classes - 1) } else { labels.join(", ") };
            Error::input(class, format!("the model has no class of this name; its classes are {known}"))
        })?;
        let listed = source::list_inputs(&[Input::file(class)], &Report::silent())?;
        photos.extend(listed.into_iter().filter_map(|input| input.path).map(|path| Photo { path, class_index }));
    }
    if photos.is_empty() {
        return Err(Error::input(folder, "no class folders with photos in them, such as roses/1.jpg"));
    }
    Ok(photos)
}

impl Photo {
    /// # Errors
    /// The file is not a picture, or is damaged.
    pub fn read(&self) -> Result<RgbImage> {
        let report = Report::silent();
        let frame = source::open(&Input::file(&self.path), 1, &report)?.next_frame()?;
        if report.has_damage() {
            return Err(Error::input(&self.path, "it is damaged, so it does not count"));
        }
        frame.map(|frame| frame.picture.into_image()).ok_or_else(|| Error::input(&self.path, "it holds no picture"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_folders_are_found_in_upper_and_lower_case() {
        let folder = std::env::temp_dir().join(format!("whycam-photos-{}", std::process::id()));
        for class in ["Roses", "tulips"] {
            std::fs::create_dir_all(folder.join(class)).unwrap();
            RgbImage::new(2, 2).save(folder.join(class).join("1.png")).unwrap();
        }
        let labels = ["tulips", "roses"].map(String::from);
        let found = labelled_photos(&folder, &labels, 2).map(|photos| photos.iter().map(|p| p.class_index).collect());
        let unknown = labelled_photos(&folder, &labels[..1], 1).map_err(|e| e.to_string());
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found.ok(), Some(vec![1, 0]));
        assert!(unknown.is_err_and(|error| error.contains("Roses") && error.contains("no class of this name")));
    }
}
