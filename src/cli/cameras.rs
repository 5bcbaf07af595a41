//! `whycam cameras`

use anyhow::Result;

use super::output::ExitStatus;
#[cfg(feature = "camera")]
use super::output::{print, say};

#[cfg(feature = "camera")]
pub fn run() -> Result<ExitStatus> {
    let cameras = whycam::source::camera::list_cameras();
    if cameras.is_empty() {
        say(format_args!("no camera was found; plug one in, or try `whycam demo`"));
        return Ok(ExitStatus::Failed);
    }
    let mut lines = Vec::new();
    for camera in &cameras {
        lines.push(format!("{}  {}\n", camera.index, camera.name));
        match whycam::source::camera::list_modes(camera.index) {
            Ok(modes) => lines.extend(modes.iter().map(line)),
            Err(error) => lines.push(format!("     {error}\n")),
        }
    }
    print(&lines.concat())
}

#[cfg(feature = "camera")]
fn line(mode: &whycam::source::camera::CameraMode) -> String {
    let rates: Vec<String> = mode.rates.iter().map(|rate| format!("{}", (100.0 * rate).round() / 100.0)).collect();
    let picture = format!("{}x{}", mode.width, mode.height);
    format!("     {picture:<10} {:<28} {} fps\n", mode.formats.join(" "), rates.join(" "))
}

#[cfg(not(feature = "camera"))]
pub fn run() -> Result<ExitStatus> {
    anyhow::bail!("this build of whycam reads no cameras (feature `camera`)")
}
