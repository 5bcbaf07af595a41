//! Snapshots: the picture with and without the map, and the numbers as JSON.

use std::path::{Path, PathBuf};

use image::RgbImage;

use super::ScreenFrame;
use crate::error::{Error, Result};
use crate::files::first_free;
use crate::sink::json_line;

/// Writes `whycam-N.png`, `whycam-N.plain.png` and `whycam-N.json` to the current folder, with the first free number N.
/// Returns the first name.
///
/// # Errors
/// A file cannot be written.
pub fn take(view: &ScreenFrame, drawn: &RgbImage) -> Result<PathBuf> {
    let name = first_free((1..).map(|number| format!("whycam-{number}.png")));
    let (plain, json) = (name.with_extension("plain.png"), name.with_extension("json"));
    let write = |path: &Path, picture: &RgbImage| picture.save(path).map_err(|e| Error::output(path, e));
    write(&name, drawn)?;
    write(&plain, &view.frame.picture)?;
    let line = json_line(view.frame, view.explanation, view.context)?;
    std::fs::write(&json, line + "\n").map_err(|e| Error::writing(&json, &e))?;
    Ok(name)
}
