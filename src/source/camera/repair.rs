//! Repairing a camera's V4L2 settings, so that nokhwa can open it.

use v4l::frameinterval::FrameIntervalEnum;
use v4l::video::Capture;
use v4l::video::capture::Parameters;
use v4l::{Device, Format, FourCC};

/// The pixel formats that nokhwa knows.
const KNOWN: [&[u8; 4]; 5] = [b"YUYV", b"MJPG", b"NV12", b"RGB3", b"BGR3"];

/// Sets a known pixel format and a whole frame rate. nokhwa cannot open a camera that another program left with other
/// settings. A failure here is ignored; nokhwa reports it.
pub fn make_readable(index: u32) {
    let Ok(device) = Device::new(index as usize) else { return };
    if let Some(format) = set_known_format(&device) {
        set_whole_rate(&device, &format);
    }
}

/// Sets a format that nokhwa knows, if the current one is unknown. Returns the format in use.
fn set_known_format(device: &Device) -> Option<Format> {
    let known = KNOWN.map(FourCC::new);
    let mut format = Capture::format(device).ok()?;
    if known.contains(&format.fourcc) {
        return Some(format);
    }
    let offered = Capture::enum_formats(device).unwrap_or_default();
    format.fourcc = known.into_iter().find(|known| offered.iter().any(|offered| offered.fourcc == *known))?;
    Capture::set_format(device, &format).ok()
}

/// Sets the highest whole rate, if the current one is fractional.
fn set_whole_rate(device: &Device, format: &Format) {
    if Capture::params(device).is_ok_and(|params| params.interval.numerator == 1) {
        return;
    }
    let intervals = device.enum_frameintervals(format.fourcc, format.width, format.height).unwrap_or_default();
    let rates = intervals.iter().filter_map(|offered| match &offered.interval {
        FrameIntervalEnum::Discrete(interval) if interval.numerator == 1 => Some(interval.denominator),
        _ => None,
    });
    if let Some(rate) = rates.max() {
        let _ = Capture::set_params(device, &Parameters::with_fps(rate));
    }
}
