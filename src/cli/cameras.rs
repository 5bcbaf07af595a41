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
    for camera in cameras {
        println!("{}  {}", camera.index, camera.name);
    }
    Ok(Status::Done)
}

#[cfg(not(feature = "camera"))]
pub fn run() -> Result<Status> {
    anyhow::bail!("this build of whycam reads no cameras (feature `camera`)")
}
