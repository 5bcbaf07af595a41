//! Cameras on systems other than Linux, by nokhwa.

use std::time::{Duration, SystemTime};

use nokhwa::utils::{
    ApiBackend, CameraFormat, CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType, Resolution, frame_formats,
};
use nokhwa::{Buffer, NokhwaError};

use super::decode::{Layout, PixelFormat};
use super::driver::{Camera, CameraInfo, Shot};
use super::modes::{Offer, RequestedMode, sort};
use crate::error::{Error, Result};

/// Lists the cameras.
pub fn list() -> Vec<CameraInfo> {
    let cameras = nokhwa::query(ApiBackend::Auto).unwrap_or_default();
    let named = |info: &nokhwa::utils::CameraInfo| {
        Some(CameraInfo { index: info.index().as_index().ok()?, name: info.human_name() })
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
    for offer in offers {
        let size = Resolution::new(offer.width, offer.height);
        let format = CameraFormat::new(size, frame_format(offer.format), offer.interval.1);
        refused = camera.set_camera_requset(request(RequestedFormatType::Exact(format))).err();
        if refused.is_none() {
            break;
        }
    }
    if let Some(error) = refused {
        return Err(failed(error));
    }
    camera.open_stream().map_err(failed)?;
    let set = camera.camera_format();
    let unread = || NokhwaError::GeneralError(format!("it chose the format {}", set.format()));
    let format = pixel_format(set.format()).ok_or_else(|| failed(unread()))?;
    Ok(NativeCamera { camera, layout: Layout::unpadded(format, set.width(), set.height()), index })
}

/// Opens a camera without streaming. Returns it with what it offers.
fn open_idle(index: u32) -> Result<(nokhwa::Camera, Vec<Offer>)> {
    let failed = |e: NokhwaError| camera_error(index, &e);
    let any = request(RequestedFormatType::None);
    let mut camera = nokhwa::Camera::new(CameraIndex::Index(index), any).map_err(failed)?;
    let formats = camera.compatible_camera_formats().map_err(failed)?;
    let offers = formats.into_iter().filter_map(|offered| {
        let format = pixel_format(offered.format())?;
        Some(Offer { format, width: offered.width(), height: offered.height(), interval: (1, offered.frame_rate()) })
    });
    let offers: Vec<Offer> = offers.collect();
    if offers.is_empty() {
        return Err(failed(NokhwaError::GeneralError("it offers no format that whycam reads".into())));
    }
    Ok((camera, offers))
}

fn request(kind: RequestedFormatType) -> RequestedFormat<'static> {
    RequestedFormat::with_formats(kind, frame_formats())
}

fn pixel_format(format: FrameFormat) -> Option<PixelFormat> {
    PixelFormat::ALL.into_iter().find(|pixel| {
        // nokhwa has no name for the others.
        !matches!(pixel, PixelFormat::Uyvy | PixelFormat::Yuv420) && frame_format(*pixel) == format
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
        let (size, format) = (buffer.resolution(), pixel_format(buffer.source_frame_format()));
        if (size.width(), size.height(), format) != (self.layout.width, self.layout.height, Some(self.layout.format)) {
            let problem = NokhwaError::GeneralError("it changed its format".into());
            return Err(camera_error(self.index, &problem));
        }
        Ok(Shot::new(buffer.buffer().to_vec(), age(&buffer)))
    }
}

/// How long ago a picture was taken, if the camera tells. It is zero if its stamp lies in the future.
fn age(buffer: &Buffer) -> Duration {
    let stamp = buffer.capture_timestamp().map(|stamp| SystemTime::UNIX_EPOCH + stamp);
    stamp.and_then(|stamp| SystemTime::now().duration_since(stamp).ok()).unwrap_or_default()
}

fn camera_error(index: u32, error: &NokhwaError) -> Error {
    Error::camera(index, error)
}
