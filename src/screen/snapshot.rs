//! The picture of a moment, with and without the map, and its numbers beside it.

use std::path::{Path, PathBuf};

use image::RgbImage;

use super::View;
use crate::error::{Error, Result};
use crate::output::first_free;
use crate::sink::json_line;

/// Writes `whycam-N.png`, `whycam-N.plain.png` and `whycam-N.json` into the current folder, for the first
/// number that is free, and returns the first of these names.
///
/// # Errors
/// The folder cannot be written to.
pub fn take(view: &View, shown: &RgbImage) -> Result<PathBuf> {
    let name = first_free((1..).map(|number| format!("whycam-{number}.png")));
    let (plain, json) = (name.with_extension("plain.png"), name.with_extension("json"));
    let write = |path: &Path, picture: &RgbImage| picture.save(path).map_err(|e| Error::output(path, e));
    write(&name, shown)?;
    write(&plain, &view.frame.picture)?;
    let line = json_line(view.frame, view.explanation, view.facts)?;
    std::fs::write(&json, line + "\n").map_err(|e| Error::writing(&json, &e))?;
    Ok(name)
}
