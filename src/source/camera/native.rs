//! Cameras on systems other than Linux, by nokhwa.

use std::time::{Duration, Instant, SystemTime};

use nokhwa::pixel_format::RgbFormat;
use nokhwa::utils::{
    ApiBackend, CameraFormat, CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType, Resolution,
};
use nokhwa::{Buffer, NokhwaError};

use super::decode::{Layout, PixelFormat};
use super::driver::{Camera, CameraName, Shot};
use super::modes::{Offer, RequestedMode, sort};
use crate::error::{Error, Result};

/// Lists the cameras.
pub fn list() -> Vec<CameraName> {
    let cameras = nokhwa::query(ApiBackend::Auto).unwrap_or_default();
    let named = |info: &nokhwa::utils::CameraInfo| {
        Some(CameraName { index: info.index().as_index().ok()?, name: info.human_name() })
    };
    cameras.iter().filter_map(named).collect()
}

/// What a camera offers that can be decoded.
///
/// # Errors
/// The camera is absent, busy or cannot be opened.
pub fn offers(index: u32, _requested: RequestedMode) -> Result<Vec<Offer>> {
    Ok(open_idle(index)?.1)
}

/// Starts a camera in the best mode that it accepts.
///
/// # Errors
/// The camera is absent, busy or cannot be opened, or it refuses every mode.
pub fn open(index: u32, requested: RequestedMode) -> Result<impl Camera> {
    let failed = |e: NokhwaError| camera_error(index, &e);
    let (mut camera, mut offers) = open_idle(index)?;
    sort(&mut offers, requested);
    let mut refused = None;
    let accepted = offers.iter().any(|offer| {
        let size = Resolution::new(offer.width, offer.height);
        let format = CameraFormat::new(size, frame_format(offer.format), offer.interval.1);
        refused =
            camera.set_camera_requset(RequestedFormat::new::<RgbFormat>(RequestedFormatType::Exact(format))).err();
        refused.is_none()
    });
    if let Some(error) = refused.filter(|_| !accepted) {
        return Err(failed(error));
    }
    camera.open_stream().map_err(failed)?;
    let set = camera.camera_format();
    let unread = || NokhwaError::GeneralError(format!("it chose the format {}", set.format()));
    let format = known(set.format()).ok_or_else(|| failed(unread()))?;
    Ok(NativeCamera { camera, layout: Layout::usual(format, set.width(), set.height()), index })
}

/// Opens a camera without streaming. Returns it with what it offers.
fn open_idle(index: u32) -> Result<(nokhwa::Camera, Vec<Offer>)> {
    let failed = |e: NokhwaError| camera_error(index, &e);
    // Every camera has a format for this request. Opening it shows the other formats.
    let fastest = RequestedFormat::new::<RgbFormat>(RequestedFormatType::AbsoluteHighestFrameRate);
    let mut camera = nokhwa::Camera::new(CameraIndex::Index(index), fastest).map_err(failed)?;
    let formats = camera.compatible_camera_formats().map_err(failed)?;
    let offers = formats.into_iter().filter_map(|offered| {
        let format = known(offered.format())?;
        Some(Offer { format, width: offered.width(), height: offered.height(), interval: (1, offered.frame_rate()) })
    });
    let offers = offers.collect();
    Ok((camera, offers))
}

fn known(format: FrameFormat) -> Option<PixelFormat> {
    PixelFormat::ALL.into_iter().find(|known| {
        // nokhwa has no name for the others.
        !matches!(known, PixelFormat::Uyvy | PixelFormat::Yuv420) && frame_format(*known) == format
    })
}

fn frame_format(format: PixelFormat) -> FrameFormat {
    match format {
        PixelFormat::Rgb => FrameFormat::RAWRGB,
        PixelFormat::Bgr => FrameFormat::RAWBGR,
        PixelFormat::Gray => FrameFormat::GRAY,
        PixelFormat::Nv12 | PixelFormat::Yuv420 => FrameFormat::NV12,
        PixelFormat::Yuyv | PixelFormat::Uyvy => FrameFormat::YUYV,
        PixelFormat::Mjpeg => FrameFormat::MJPEG,
    }
}

struct NativeCamera {
    camera: nokhwa::Camera,
    layout: Layout,
    index: u32,
}

impl Camera for NativeCamera {
    fn layout(&self) -> Layout {
        self.layout
    }

    fn next_shot(&mut self) -> Result<Shot> {
        let buffer = self.camera.frame().map_err(|e| camera_error(self.index, &e))?;
        let now = Instant::now();
        let taken = now.checked_sub(age(&buffer)).unwrap_or(now);
        Ok(Shot { bytes: buffer.buffer().to_vec(), taken })
    }
}

/// How long ago a picture was taken, if the camera tells. It is zero if the system clock was set in the meantime.
fn age(buffer: &Buffer) -> Duration {
    /// No camera holds a picture back for longer.
    const MAX_AGE: Duration = Duration::from_secs(10);
    let stamp = buffer.capture_timestamp().map(|stamp| SystemTime::UNIX_EPOCH + stamp);
    let age = stamp.and_then(|stamp| SystemTime::now().duration_since(stamp).ok()).unwrap_or_default();
    if age < MAX_AGE { age } else { Duration::ZERO }
}

fn camera_error(index: u32, error: &NokhwaError) -> Error {
    Error::Camera { camera: index.to_string(), problem: error.to_string() }
}
