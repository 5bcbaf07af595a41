//! `whycam cameras`

use anyhow::Result;

use super::Status;

#[cfg(feature = "camera")]
pub fn run() -> Result<Status> {
    let cameras = whycam::source::camera::list_cameras();
    if cameras.is_empty() {
        eprintln!("whycam: no camera was found; plug one in, or try `whycam demo`");
        return Ok(Status::Failed);
    }
    let mut lines = Vec::new();
    for camera in &cameras {
        lines.push(format!("{}  {}\n", camera.index, camera.name));
        match whycam::source::camera::list_formats(camera.index) {
            Ok(formats) => lines.extend(formats.iter().map(|format| format!("     {format}\n"))),
            Err(error) => lines.push(format!("     {error}\n")),
        }
    }
    super::print(&lines.concat())
}

#[cfg(not(feature = "camera"))]
pub fn run() -> Result<Status> {
    anyhow::bail!("this build of whycam reads no cameras (feature `camera`)")
}
