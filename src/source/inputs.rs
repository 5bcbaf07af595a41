//! Listing the files in folders.

use std::path::{Path, PathBuf};

use super::open::is_address;
use crate::error::{Error, Result};

const PICTURES: &[&str] = &["bmp", "gif", "jpeg", "jpg", "png", "tif", "tiff", "webp"];
const FILMS: &[&str] = &["avi", "m4v", "mkv", "mov", "mp4", "mpg", "ts", "webm"];

/// Replaces each folder by the pictures and films in it and in its subfolders, sorted by name. The results of earlier
/// runs (`*.whycam.*`) are left out.
///
/// # Errors
/// An input is absent, or a folder has neither pictures nor films.
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
