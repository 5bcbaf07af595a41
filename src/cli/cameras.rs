//! `whycam cameras`

use anyhow::Result;

use super::Status;

#[cfg(feature = "camera")]
pub fn run() -> Result<Status> {
    let cameras = whycam::source::camera::list_cameras();
    if cameras.is_empty() {
        super::say(format_args!("no camera was found; plug one in, or try `whycam demo`"));
        return Ok(Status::Failed);
    }
    let mut lines = Vec::new();
    for camera in &cameras {
        lines.push(format!("{}  {}\n", camera.index, camera.name));
        match whycam::source::camera::list_sizes(camera.index) {
            Ok(sizes) => lines.extend(sizes.iter().map(line)),
            Err(error) => lines.push(format!("     {error}\n")),
        }
    }
    super::print(&lines.concat())
}

#[cfg(feature = "camera")]
fn line(size: &whycam::source::camera::Size) -> String {
    let rates: Vec<String> = size.rates.iter().map(u32::to_string).collect();
    let picture = format!("{}x{}", size.width, size.height);
    format!("     {picture:<10} {:<28} {} fps\n", size.formats.join(" "), rates.join(" "))
}

#[cfg(not(feature = "camera"))]
pub fn run() -> Result<Status> {
    anyhow::bail!("this build of whycam reads no cameras (feature `camera`)")
}
