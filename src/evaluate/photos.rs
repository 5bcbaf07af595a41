//! Photos of known classes: a folder of class folders.

use std::path::{Path, PathBuf};

use image::RgbImage;
use serde::{Deserialize, Serialize, Serializer};

use crate::error::{Error, Result};
use crate::media::name_of;
use crate::model::find_class;
use crate::source::{ClassFolder, class_folders, read_photo};

/// A photo and its true class.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Photo {
    #[serde(serialize_with = "as_name")]
    pub path: PathBuf,
    pub class_index: usize,
}

/// The photos in a folder of class folders. The name of a class folder is a label of the model, in upper or lower case,
/// or the index of a class.
///
/// # Errors
/// The folder cannot be read, has no class folders with photos, or has a folder that is no class of the model.
pub fn labelled_photos(folder: &Path, labels: &[String], classes: usize) -> Result<Vec<Photo>> {
    let mut photos = Vec::new();
    for ClassFolder { path, name, photos: of_class } in class_folders(folder)? {
        let class_index = find_class(&name, labels, classes).map_err(|_| {
            let known = if labels.is_empty() { format!("0 to {}", classes - 1) } else { labels.join(", ") };
            Error::input(path, format!("the model has no class of this name; its classes are {known}"))
        })?;
        photos.extend(of_class.into_iter().map(|path| Photo { path, class_index }));
    }
    Ok(photos)
}

/// A path need not be UTF-8.
pub(super) fn as_name<S: Serializer>(path: &Path, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(&name_of(path))
}

impl Photo {
    /// # Errors
    /// The file is not a picture, or is damaged.
    pub fn read(&self) -> Result<RgbImage> {
        read_photo(&self.path)
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
