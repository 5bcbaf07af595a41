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
    let lines: Vec<String> = cameras.iter().map(|c| format!("{}  {}\n", c.index, c.name)).collect();
    super::print(&lines.concat())
}

#[cfg(not(feature = "camera"))]
pub fn run() -> Result<Status> {
    anyhow::bail!("this build of whycam reads no cameras (feature `camera`)")
}
