//! Listing cameras and their modes, and finding a camera.

use super::driver::{self, CameraInfo};
use super::modes::{CameraMode, RequestedMode, by_size, sort};
use crate::error::{Error, Result};

/// Lists the cameras by number. Device nodes without pictures, such as those for metadata, are left out.
pub fn list_cameras() -> Vec<CameraInfo> {
    let mut cameras = driver::list();
    cameras.sort_by_key(|camera| camera.index);
    cameras
}

/// Lists the picture sizes of a camera, the most suitable first.
///
/// # Errors
/// The camera is absent or cannot be opened, or nothing of what it offers can be decoded.
pub fn list_modes(index: u32) -> Result<Vec<CameraMode>> {
    let requested = RequestedMode::default();
    let mut offers = driver::offers(index, requested)?;
    sort(&mut offers, requested);
    Ok(by_size(&offers))
}

/// Finds a camera by its number, its device path or part of its name, and returns its number. `None` finds the first
/// camera.
///
/// # Errors
/// There is no such camera, or none at all.
pub fn find_camera(wanted: Option<&str>) -> Result<u32> {
    let cameras = list_cameras();
    let Some(first) = cameras.first() else {
        return Err(Error::camera(wanted.unwrap_or("0"), "no camera was found; plug one in, or try `whycam demo`"));
    };
    let Some(wanted) = wanted else { return Ok(first.index) };
    let number = wanted.strip_prefix("/dev/video").unwrap_or(wanted).parse::<u32>().ok();
    let matches = |camera: &&CameraInfo| match number {
        Some(number) => camera.index == number,
        None => camera.name.to_lowercase().contains(&wanted.to_lowercase()),
    };
    cameras.iter().find(matches).map(|camera| camera.index).ok_or_else(|| {
        let known: Vec<String> = cameras.iter().map(|c| format!("{} ({})", c.index, c.name)).collect();
        Error::camera(wanted, format!("not found; there are {}", known.join(", ")))
    })
}
