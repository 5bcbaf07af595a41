//! The picture of a moment, with and without the map, and its numbers beside it.

use std::path::PathBuf;

use image::RgbImage;

use super::View;
use crate::error::{Error, Result};
use crate::sink::json_line;

/// Writes `whycam-N.png`, `whycam-N.plain.png` and `whycam-N.json` into the current folder, for the first
/// number that is free, and returns the first of these names.
///
/// # Errors
/// The folder cannot be written to.
pub fn take(view: &View, shown: &RgbImage) -> Result<PathBuf> {
    let free = (1..).map(|number| format!("whycam-{number}"));
    let mut free = free.filter(|stem| !PathBuf::from(format!("{stem}.png")).exists());
    let stem = free.next().unwrap_or_default();
    let (name, plain, json) = (format!("{stem}.png"), format!("{stem}.plain.png"), format!("{stem}.json"));
    let write = |path: &str, picture: &RgbImage| picture.save(path).map_err(|e| Error::output(path, e));
    write(&name, shown)?;
    write(&plain, &view.frame.picture)?;
    let line = json_line(view.frame, view.explanation, view.facts)?;
    std::fs::write(&json, line + "\n").map_err(|e| Error::writing(&json, &e))?;
    Ok(name.into())
}
