//! Snapshots: the picture with and without the map, and the numbers as JSON.

use std::path::{Path, PathBuf};

use image::RgbImage;

use crate::error::{Error, Result};
use crate::explain::{Explanation, ExplanationContext};
use crate::files::first_free;
use crate::media::Frame;
use crate::sink::json_line;

/// Writes `whycam-N.png`, `whycam-N.plain.png` and `whycam-N.json` to the current folder, with the first free number N.
/// Returns the first name. `drawn` is the frame's picture with the map.
///
/// # Errors
/// A file cannot be written.
pub fn take(
    frame: &Frame,
    drawn: &RgbImage,
    explanation: &Explanation,
    context: &ExplanationContext,
) -> Result<PathBuf> {
    let numbers = (1..).filter(|number| !Path::new(&format!("whycam-{number}.json")).exists());
    let numbers = numbers.filter(|number| !Path::new(&format!("whycam-{number}.plain.png")).exists());
    let name = first_free(numbers.map(|number| format!("whycam-{number}.png")));
    let (plain, json) = (name.with_extension("plain.png"), name.with_extension("json"));
    let write = |path: &Path, picture: &RgbImage| picture.save(path).map_err(|e| Error::output(path, e));
    write(&name, drawn)?;
    write(&plain, &frame.picture)?;
    let line = json_line(frame, &frame.medium.name, explanation, context)?;
    std::fs::write(&json, line + "\n").map_err(|e| Error::writing(&json, &e))?;
    Ok(name)
}
