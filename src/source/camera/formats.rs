//! A camera's formats: listing them and choosing one.

use std::cmp::Reverse;

use nokhwa::pixel_format::RgbFormat;
use nokhwa::utils::{CameraFormat, CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType};
use nokhwa::{Camera, NokhwaError};

use super::errors::camera_error;
#[cfg(target_os = "linux")]
use super::repair::make_readable;
use crate::error::Result;

/// The size and rate to ask a camera for. It gives the nearest that it has.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestedMode {
    /// Width and height in pixels.
    pub size: Option<(u32, u32)>,
    /// Frames per second.
    pub rate: Option<u32>,
}

/// A picture size of a camera, with its formats and rates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraMode {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Pixel formats that can be decoded.
    pub formats: Vec<String>,
    /// Frames per second.
    pub rates: Vec<u32>,
}

/// Lists the picture sizes of a camera, the most suitable first.
///
/// # Errors
/// The camera is absent, busy or cannot be opened.
pub fn list_modes(index: u32) -> Result<Vec<CameraMode>> {
    let (_, formats) = open_idle(index, RequestedMode::default())?;
    let mut modes: Vec<CameraMode> = Vec::new();
    for format in formats {
        let (width, height) = (format.width(), format.height());
        let known = modes.iter().position(|mode| (mode.width, mode.height) == (width, height)).unwrap_or_else(|| {
            modes.push(CameraMode { width, height, formats: Vec::new(), rates: Vec::new() });
            modes.len() - 1
        });
        let CameraMode { formats, rates, .. } = &mut modes[known];
        let name = format.format().to_string();
        if !formats.contains(&name) {
            formats.push(name);
        }
        if !rates.contains(&format.frame_rate()) {
            rates.push(format.frame_rate());
        }
    }
    Ok(modes)
}

/// Starts a camera in the best format that it accepts.
///
/// # Errors
/// The camera is absent, busy or cannot be opened, or it refuses every format.
pub fn open_streaming(index: u32, requested: RequestedMode) -> Result<Camera> {
    let failed = |e: NokhwaError| camera_error(index, &e);
    let (mut camera, formats) = open_idle(index, requested)?;
    // The list holds rates that the camera lacks and refuses: nokhwa reads 2/25 s as 25 per second.
    let exact = |format: CameraFormat| RequestedFormat::new::<RgbFormat>(RequestedFormatType::Exact(format));
    let mut refused = None;
    let accepted = formats.into_iter().any(|format| {
        refused = camera.set_camera_requset(exact(format)).err();
        refused.is_none()
    });
    if let Some(error) = refused.filter(|_| !accepted) {
        return Err(failed(error));
    }
    camera.open_stream().map_err(failed)?;
    Ok(camera)
}

/// Opens a camera without streaming. Returns it with its formats that can be decoded, the best first.
fn open_idle(index: u32, requested: RequestedMode) -> Result<(Camera, Vec<CameraFormat>)> {
    let failed = |e: NokhwaError| camera_error(index, &e);
    #[cfg(target_os = "linux")]
    make_readable(index);
    // Every camera has a format for this request. Opening it shows the other formats.
    let fastest = RequestedFormat::new::<RgbFormat>(RequestedFormatType::AbsoluteHighestFrameRate);
    let mut camera = Camera::new(CameraIndex::Index(index), fastest).map_err(failed)?;
    let formats = camera.compatible_camera_formats().map_err(failed)?;
    let mut formats: Vec<CameraFormat> = formats.into_iter().filter(|f| decode_cost(f.format()).is_some()).collect();
    formats.sort_by_key(|format| Reverse((nearness(format, requested), suitability(format))));
    Ok((camera, formats))
}

/// How near a format is to the requested one. Larger is nearer.
fn nearness(format: &CameraFormat, requested: RequestedMode) -> (i64, i64) {
    let apart = |a: u32, b: u32| -i64::from(a.abs_diff(b));
    let size =
        requested.size.map_or(0, |(width, height)| apart(format.width(), width) + apart(format.height(), height));
    (size, requested.rate.map_or(0, |rate| apart(format.frame_rate(), rate)))
}

/// How well a format suits live view. Larger is better: a fluid rate first, then a size neither coarse nor heavy, then
/// a high rate, then few pixels, then cheap decoding.
fn suitability(format: &CameraFormat) -> (bool, u32, u32, i64, u32) {
    let rate = format.frame_rate();
    let pixels = format.width() * format.height();
    let size = match pixels {
        307_200..=921_600 => 3,
        200_000..307_200 => 2,
        921_601..=2_100_000 => 1,
        _ => 0,
    };
    (rate >= 24, size, rate.min(60), -i64::from(pixels), 3 - decode_cost(format.format()).unwrap_or(3))
}

/// The relative cost of decoding a pixel format, or `None` if nokhwa cannot decode it.
fn decode_cost(format: FrameFormat) -> Option<u32> {
    match format {
        FrameFormat::RAWRGB | FrameFormat::RAWBGR => Some(0),
        FrameFormat::NV12 => Some(1),
        FrameFormat::YUYV => Some(2),
        FrameFormat::MJPEG => Some(3),
        FrameFormat::GRAY => None,
    }
}
