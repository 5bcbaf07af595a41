//! Error messages for what the driver reports.

use nokhwa::NokhwaError;

use crate::error::Error;

/// The error of a camera, with its remedy if the driver's message tells the cause.
pub fn camera_error(index: u32, error: &NokhwaError) -> Error {
    let text = error.to_string();
    let problem = if text.contains("os error 16") {
        "it is busy; close the program that uses it".into()
    } else if text.contains("os error 13") {
        "permission denied; add yourself to the group `video` and log in again".into()
    } else if text.contains("os error 19") {
        "it was unplugged".into()
    } else if text.contains("os error 5)") {
        "it stopped with a hardware fault; unplug it and plug it in again".into()
    } else if text.contains("os error 2)") {
        "it is not there; plug it in, or try `whycam demo`".into()
    } else if text.contains("Framerate not whole number") || text.contains("FrameFormat: unsupported") {
        format!(
            "another program left it in a format that cannot be read ({text}); \
             unplug it and plug it in again, or reset it: v4l2-ctl -d /dev/video{index} --set-parm=30"
        )
    } else {
        text
    };
    Error::Camera { camera: index.to_string(), problem }
}
