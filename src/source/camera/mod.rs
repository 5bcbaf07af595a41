//! Cameras, read with nokhwa.

mod errors;
mod find;
mod formats;
#[cfg(target_os = "linux")]
mod repair;
mod source;

pub use find::{CameraName, find_camera, list_cameras};
pub use formats::{CameraMode, RequestedMode, list_modes};
pub use source::CameraSource;
