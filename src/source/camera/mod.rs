//! Cameras.

mod decode;
mod driver;
mod find;
mod modes;
#[cfg(not(target_os = "linux"))]
mod native;
mod source;
#[cfg(target_os = "linux")]
mod v4l2;

pub use driver::CameraInfo;
pub use find::{find_camera, list_cameras, list_modes};
pub use modes::{CameraMode, RequestedMode};
pub use source::CameraSource;
