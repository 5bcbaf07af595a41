//! Frames as the pictures of a virtual camera, which other programs read: a V4L2 output device such as that of v4l2loopback.

use std::path::{Path, PathBuf};
use std::time::Duration;

use image::RgbImage;
use v4l::buffer::Type;
use v4l::capability::Flags;
use v4l::format::{Colorspace, FieldOrder, Format, FourCC};
use v4l::io::mmap::Stream;
use v4l::io::traits::OutputStream;
use v4l::{Device, video};
use yuv::{YuvConversionMode, YuvPackedImageMut, YuvPlanarImage, YuvPlanarImageMut, YuvRange, YuvStandardMatrix};

use super::reconnecting::LiveOutput;
use crate::error::{Error, Result};
use crate::media::Frame;
use crate::media::v4l2::has_buffer;

/// A V4L2 output device while pictures are written to it, as YUYV: the format that every program takes. Its picture is the
/// last one but one, since the device gets a buffer when the next one is asked for.
pub struct VirtualCamera {
    path: PathBuf,
    stream: Stream<'static>,
    /// The size that the device takes, in pixels.
    size: (u32, u32),
    planar: YuvPlanarImageMut<'static, u8>,
}

/// Pictures that may wait for the device.
const BUFFERS: u32 = 4;
/// How long the device may take no picture.
const TIMEOUT: Duration = Duration::from_secs(5);

impl VirtualCamera {
    /// Checks that a device takes pictures.
    ///
    /// # Errors
    /// It does not, or cannot be opened.
    pub fn check(path: &Path) -> Result<()> {
        open_output(path).map(drop)
    }

    /// Opens a device for pictures of the size of a frame's.
    ///
    /// # Errors
    /// It is no output device, or takes no YUYV.
    pub fn open(path: &Path, frame: &Frame) -> Result<Self> {
        let failed = |e: std::io::Error| Error::writing(path, &e);
        let device = open_output(path)?;
        let (width, height) = frame.picture.dimensions();
        let mut wanted = Format::new(width & !1, height & !1, FourCC::new(b"YUYV"));
        wanted.field_order = FieldOrder::Progressive;
        wanted.colorspace = Colorspace::SRGB;
        let taken = video::Output::set_format(&device, &wanted).map_err(failed)?;
        if taken.fourcc != wanted.fourcc {
            return Err(Error::output(path, format!("it takes {} and not YUYV", taken.fourcc)));
        }
        if taken.stride > 2 * taken.width {
            return Err(Error::output(path, "it wants lines with a gap between them, which whycam does not write"));
        }
        let size = (taken.width, taken.height);
        let planar = YuvPlanarImageMut::alloc(size.0, size.1, yuv::YuvChromaSubsampling::Yuv422);
        let mut stream = Stream::with_buffers(&device, Type::VideoOutput, BUFFERS).map_err(failed)?;
        stream.set_timeout(TIMEOUT);
        // Once the stream has begun, the kernel says that a device takes a buffer only while one is done, and some devices hold
        // on to the last one. So two are queued before, when nothing is waited for.
        for index in (1..=2).filter(|index| has_buffer(&device, Type::VideoOutput, *index)) {
            OutputStream::queue(&mut stream, index as usize).map_err(failed)?;
        }
        Ok(Self { path: path.to_owned(), stream, size, planar })
    }

    /// Fills the next buffer with the picture as the device takes it: YUYV of its size, in the limited range of BT.601, as
    /// cameras give it. The device gets the buffer that was filled before.
    fn send(&mut self, picture: &RgbImage) -> Result<()> {
        let failed = |e: yuv::YuvError| Error::output(&self.path, e);
        let (width, height) = self.size;
        let (range, matrix) = (YuvRange::Limited, YuvStandardMatrix::Bt601);
        let mode = YuvConversionMode::Balanced;
        yuv::rgb_to_yuv422(&mut self.planar, picture.as_raw(), 3 * width, range, matrix, mode).map_err(failed)?;
        let planes = &self.planar;
        let planar = YuvPlanarImage {
            y_plane: planes.y_plane.borrow(),
            y_stride: planes.y_stride,
            u_plane: planes.u_plane.borrow(),
            u_stride: planes.u_stride,
            v_plane: planes.v_plane.borrow(),
            v_stride: planes.v_stride,
            width,
            height,
        };
        let (buffer, about) = OutputStream::next(&mut self.stream).map_err(|e| Error::writing(&self.path, &e))?;
        let length = 2 * width as usize * height as usize;
        let buffer = buffer.get_mut(..length).ok_or_else(|| Error::output(&self.path, "its buffers are too small"))?;
        (about.bytesused, about.field) = (length as u32, FieldOrder::Progressive as u32);
        let yuy = yuv::BufferStoreMut::Borrowed(buffer);
        let mut packed = YuvPackedImageMut { yuy, yuy_stride: 2 * width, width, height };
        yuv::yuv422_to_yuyv422(&mut packed, &planar).map_err(failed)
    }
}

fn open_output(path: &Path) -> Result<Device> {
    let failed = |e: std::io::Error| Error::writing(path, &e);
    let device = Device::with_path(path).map_err(failed)?;
    let is_output = device.query_caps().is_ok_and(|found| found.capabilities.contains(Flags::VIDEO_OUTPUT));
    let problem = "it takes no pictures; `modprobe v4l2loopback` makes a device that does";
    if is_output { Ok(device) } else { Err(Error::output(path, problem)) }
}

impl LiveOutput for VirtualCamera {
    fn write(&mut self, frame: &Frame) -> Result<()> {
        let (width, height) = self.size;
        if frame.picture.dimensions() == self.size {
            self.send(&frame.picture)
        } else {
            // The device chose another size.
            let filter = image::imageops::FilterType::Triangle;
            let fitted = image::imageops::resize(&*frame.picture, width, height, filter);
            self.send(&fitted)
        }
    }

    fn finish(self: Box<Self>) {}
}
