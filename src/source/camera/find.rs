//! Listing cameras and finding one.

use nokhwa::utils::ApiBackend;

use crate::error::{Error, Result};

/// A camera that the system lists.
#[derive(Clone, Debug)]
pub struct CameraName {
    pub index: u32,
    pub name: String,
}

/// Lists the cameras by number. Device nodes without pictures, such as those for metadata, are left out.
pub fn list_cameras() -> Vec<CameraName> {
    let mut cameras: Vec<CameraName> = nokhwa::query(ApiBackend::Auto)
        .unwrap_or_default()
        .iter()
        .filter_map(|info| Some(CameraName { index: info.index().as_index().ok()?, name: info.human_name() }))
        .filter(|camera| gives_pictures(camera.index))
        .collect();
    cameras.sort_by_key(|camera| camera.index);
    cameras
}

/// Whether a device has picture formats. A device that cannot be opened may have some.
#[cfg(target_os = "linux")]
fn gives_pictures(index: u32) -> bool {
    use v4l::video::Capture;
    let Ok(device) = v4l::Device::new(index as usize) else { return true };
    Capture::enum_formats(&device).is_ok_and(|formats| !formats.is_empty())
}

#[cfg(not(target_os = "linux"))]
fn gives_pictures(_: u32) -> bool {
    true
}

/// Finds a camera by its number, its device path or part of its name, and returns its number. `None` finds the first
/// camera.
///
/// # Errors
/// There is no such camera, or none at all.
pub fn find_camera(wanted: Option<&str>) -> Result<u32> {
    let cameras = list_cameras();
    let Some(first) = cameras.first() else {
        let camera = wanted.unwrap_or("0").to_owned();
        return Err(Error::Camera { camera, problem: "no camera was found; plug one in, or try `whycam demo`".into() });
    };
    let Some(wanted) = wanted else { return Ok(first.index) };
    let number = wanted.strip_prefix("/dev/video").unwrap_or(wanted).parse::<u32>().ok();
    let matches = |camera: &&CameraName| match number {
        Some(number) => camera.index == number,
        None => camera.name.to_lowercase().contains(&wanted.to_lowercase()),
    };
    cameras.iter().find(matches).map(|camera| camera.index).ok_or_else(|| {
        let known: Vec<String> = cameras.iter().map(|c| format!("{} ({})", c.index, c.name)).collect();
        Error::Camera { camera: wanted.to_owned(), problem: format!("not found; there are {}", known.join(", ")) }
    })
}
