//! Cameras on Linux, by V4L2 (the kernel's documentation: Linux Media Infrastructure userspace API, part I).

use std::time::Duration;
use std::{fs, io, mem};

use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};
use v4l::buffer::{Flags, Metadata, Type};
use v4l::format::{Colorspace, Quantization};
use v4l::frameinterval::FrameIntervalEnum;
use v4l::framesize::FrameSizeEnum;
use v4l::io::mmap::Stream;
use v4l::io::traits::{CaptureStream, Stream as _};
use v4l::video::Capture;
use v4l::video::capture::Parameters;
use v4l::{Device, Format, FourCC, Fraction};
use yuv::{YuvRange, YuvStandardMatrix};

use super::decode::{Layout, PixelFormat};
use super::driver::{Camera, CameraInfo, STALLED, Shot, stalled};
use super::modes::{Offer, RequestedMode, sort};
use crate::error::{Error, Result};
use crate::media::v4l2::{has_buffer, ycbcr_encoding};

/// Lists the cameras. Device nodes without pictures, such as those for metadata, are left out.
pub fn list() -> Vec<CameraInfo> {
    let devices = fs::read_dir("/sys/class/video4linux").into_iter().flatten().flatten();
    let cameras = devices.filter_map(|device| {
        let index = device.file_name().to_str()?.strip_prefix("video")?.parse().ok()?;
        // A long name may be cut within a character.
        let name = fs::read(device.path().join("name")).unwrap_or_default();
        Some(CameraInfo { index, name: String::from_utf8_lossy(&name).trim().to_owned() })
    });
    cameras.filter(|camera| gives_pictures(camera.index)).collect()
}

/// Whether a device has picture formats. A device that cannot be opened may have some.
fn gives_pictures(index: u32) -> bool {
    let Ok(device) = Device::new(index as usize) else { return true };
    Capture::enum_formats(&device).is_ok_and(|formats| !formats.is_empty())
}

/// What a camera offers that can be decoded.
///
/// # Errors
/// The camera is absent or cannot be opened, or nothing of what it offers can be decoded.
pub fn offers(index: u32, requested: RequestedMode) -> Result<Vec<Offer>> {
    let failed = |e| camera_error(index, &e);
    offers_of(&Device::new(index as usize).map_err(failed)?, index, requested)
}

fn offers_of(device: &Device, index: u32, requested: RequestedMode) -> Result<Vec<Offer>> {
    let formats = Capture::enum_formats(device).map_err(|e| camera_error(index, &e))?;
    let mut offers = Vec::new();
    for format in formats.iter().filter_map(|offered| pixel_format(offered.fourcc)) {
        for (width, height) in sizes(device, format, requested) {
            let intervals = intervals(device, format, (width, height), requested);
            offers.extend(intervals.into_iter().map(|interval| Offer { format, width, height, interval }));
        }
    }
    if offers.is_empty() {
        let offered: Vec<String> = formats.iter().map(|format| format.fourcc.to_string()).collect();
        let read = PixelFormat::ALL.map(PixelFormat::name).join(", ");
        let problem = format!("it sends {}, and whycam reads {read}; try --input with FFmpeg", offered.join(", "));
        return Err(Error::camera(index, problem));
    }
    Ok(offers)
}

fn pixel_format(code: FourCC) -> Option<PixelFormat> {
    PixelFormat::ALL.into_iter().find(|format| fourcc(*format) == code)
}

fn fourcc(format: PixelFormat) -> FourCC {
    let mut code = [b' '; 4];
    code.copy_from_slice(format.name().as_bytes());
    FourCC::new(&code)
}

/// The sizes of a format. Of a range, the largest up to those that are asked for or usual.
fn sizes(device: &Device, format: PixelFormat, requested: RequestedMode) -> Vec<(u32, u32)> {
    const USUAL: [(u32, u32); 3] = [(640, 480), (1280, 720), (1920, 1080)];
    let offered = device.enum_framesizes(fourcc(format)).unwrap_or_default();
    let mut sizes: Vec<(u32, u32)> = Vec::new();
    for offered in offered {
        match offered.size {
            FrameSizeEnum::Discrete(size) => sizes.push((size.width, size.height)),
            FrameSizeEnum::Stepwise(range) => {
                let at_most = |wanted: u32, least: u32, most: u32, step: u32| {
                    least + (wanted.clamp(least, most.max(least)) - least) / step.max(1) * step.max(1)
                };
                sizes.extend(requested.size.into_iter().chain(USUAL).map(|(width, height)| {
                    let width = at_most(width, range.min_width, range.max_width, range.step_width);
                    (width, at_most(height, range.min_height, range.max_height, range.step_height))
                }));
            }
        }
    }
    if sizes.is_empty() {
        // A driver need not list them. It takes the nearest that it has.
        sizes.extend(requested.size.into_iter().chain(USUAL));
    }
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// The times from one frame to the next. Of a range, its ends, and those that are asked for or usual.
fn intervals(
    device: &Device,
    format: PixelFormat,
    (width, height): (u32, u32),
    requested: RequestedMode,
) -> Vec<(u32, u32)> {
    let asked_or_usual = || {
        let asked = requested.rate.map(|rate| (1000, (1000.0 * rate).round() as u32));
        asked.into_iter().chain([(1, 30), (1, 60)])
    };
    let seconds = |(numerator, denominator): (u32, u32)| f64::from(numerator) / f64::from(denominator.max(1));
    let pair = |fraction: &Fraction| (fraction.numerator, fraction.denominator);
    let offered = device.enum_frameintervals(fourcc(format), width, height).unwrap_or_default();
    let mut intervals: Vec<(u32, u32)> = Vec::new();
    for offered in &offered {
        match &offered.interval {
            FrameIntervalEnum::Discrete(interval) => intervals.push(pair(interval)),
            FrameIntervalEnum::Stepwise(range) => {
                let (least, most) = (seconds(pair(&range.min)), seconds(pair(&range.max)));
                intervals.extend([pair(&range.min), pair(&range.max)]);
                intervals.extend(asked_or_usual().filter(|asked| (least..=most).contains(&seconds(*asked))));
            }
        }
    }
    intervals.retain(|interval| interval.0 > 0 && interval.1 > 0);
    if intervals.is_empty() { asked_or_usual().collect() } else { intervals }
}

/// Starts a camera in the best mode that it accepts.
///
/// # Errors
/// The camera is absent, busy or cannot be opened, or it refuses every mode.
pub fn open(index: u32, requested: RequestedMode) -> Result<impl Camera> {
    let failed = |e: &io::Error| camera_error(index, e);
    let device = Device::new(index as usize).map_err(|e| failed(&e))?;
    let mut offers = offers_of(&device, index, requested)?;
    sort(&mut offers, requested);
    let mut refused = None;
    for offer in offers {
        match start(&device, &offer) {
            Ok((stream, layout)) => return Ok(V4l2Camera { stream: Some(stream), layout, index }),
            Err(error) if is_refusal(&error) => refused = refused.or(Some(error)),
            Err(error) => return Err(failed(&error)),
        }
    }
    Err(failed(&refused.unwrap_or_else(|| io::Error::other("it offers nothing"))))
}

/// Whether a mode is refused, so that another one may be accepted: it is invalid, or the USB bus has no room for it.
fn is_refusal(error: &io::Error) -> bool {
    match Errno::from_io_error(error) {
        Some(code) => code == Errno::INVAL || code == Errno::NOSPC,
        None => error.kind() == io::ErrorKind::Other,
    }
}

/// Enough for the full rate. With more, pictures grow old in the queue while the program is slow.
const BUFFERS: u32 = 4;

/// Sets the mode and starts to stream.
fn start(device: &Device, offer: &Offer) -> io::Result<(Stream<'static>, Layout)> {
    let wanted = Format::new(offer.width, offer.height, fourcc(offer.format));
    let chosen = Capture::set_format(device, &wanted)?;
    let other = || io::Error::other(format!("it chose the format {}", chosen.fourcc));
    let format = pixel_format(chosen.fourcc).ok_or_else(other)?;
    // A driver without rates refuses, and streams all the same.
    let _ = Capture::set_params(device, &Parameters::new(Fraction::new(offer.interval.0, offer.interval.1)));
    let mut stream = Stream::with_buffers(device, Type::VideoCapture, BUFFERS)?;
    stream.set_timeout(STALLED);
    // The first buffer is queued with the first picture. A full USB bus shows when the stream starts.
    let mut further = (1..).take_while(|at| has_buffer(device, Type::VideoCapture, *at));
    let queued = further.try_for_each(|at| CaptureStream::queue(&mut stream, at as usize));
    if let Err(error) = queued.and_then(|()| stream.start()) {
        stop_streaming(stream);
        return Err(error);
    }
    Ok((stream, layout(format, &chosen, ycbcr_encoding(device))))
}

/// `encoding` is a number of the enumeration `v4l2_ycbcr_encoding`; webcams tell their matrix by it.
fn layout(format: PixelFormat, chosen: &Format, encoding: u32) -> Layout {
    let unpadded = Layout::unpadded(format, chosen.width, chosen.height);
    let full = matches!(chosen.quantization, Quantization::FullRange)
        || matches!((chosen.quantization, chosen.colorspace), (Quantization::Default, Colorspace::JPEG));
    let matrix = match (encoding, chosen.colorspace) {
        (2 | 4, _) | (0, Colorspace::Rec709 | Colorspace::DCIP3) => YuvStandardMatrix::Bt709,
        (6 | 7, _) | (0, Colorspace::Rec2020) => YuvStandardMatrix::Bt2020,
        (8, _) | (0, Colorspace::SMPTE240M) => YuvStandardMatrix::Smpte240,
        _ => YuvStandardMatrix::Bt601,
    };
    let range = if full { YuvRange::Full } else { YuvRange::Limited };
    Layout { stride: chosen.stride.max(unpadded.stride), range, matrix, ..unpadded }
}

struct V4l2Camera {
    /// Taken when it ends.
    stream: Option<Stream<'static>>,
    layout: Layout,
    index: u32,
}

impl Camera for V4l2Camera {
    fn layout(&self) -> Layout {
        self.layout
    }

    fn next_shot(&mut self) -> Result<Shot> {
        let failed = |e: &io::Error| camera_error(self.index, e);
        let stream = self.stream.as_mut().ok_or_else(|| failed(&io::ErrorKind::NotConnected.into()))?;
        loop {
            match next_shot(stream) {
                // A signal came. v4l has queued the buffer already, so the picture that was waited for is lost.
                Err(error) if is_interrupted(&error) => {
                    while CaptureStream::dequeue(stream).is_err_and(|error| is_interrupted(&error)) {}
                }
                shot => return shot.map_err(|e| failed(&e)),
            }
        }
    }
}

fn next_shot(stream: &mut Stream<'static>) -> io::Result<Shot> {
    let (bytes, metadata) = CaptureStream::next(stream)?;
    // A damaged picture has too few bytes for its size.
    let used = if metadata.flags.contains(Flags::ERROR) { 0 } else { metadata.bytesused as usize };
    Ok(Shot::new(bytes.get(..used).unwrap_or_default().to_vec(), age(metadata)))
}

fn is_interrupted(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Interrupted
}

impl Drop for V4l2Camera {
    fn drop(&mut self) {
        self.stream.take().into_iter().for_each(stop_streaming);
    }
}

/// Stops a stream. If that fails, v4l panics on drop, except for a camera that is gone; so the stream is leaked.
fn stop_streaming(mut stream: Stream<'static>) {
    if stream.stop().is_err_and(|e| Errno::from_io_error(&e) != Some(Errno::NODEV)) {
        mem::forget(stream);
    }
}

/// How long ago a picture was taken, where the driver says so. Some drivers stamp their pictures with the future.
fn age(metadata: &Metadata) -> Duration {
    if !metadata.flags.contains(Flags::TIMESTAMP_MONOTONIC) {
        return Duration::ZERO;
    }
    let now = clock_gettime(ClockId::Monotonic);
    let microseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000).saturating_add(rest);
    let taken = microseconds(metadata.timestamp.sec, metadata.timestamp.usec);
    let age = microseconds(now.tv_sec, now.tv_nsec / 1000).saturating_sub(taken);
    Duration::from_micros(u64::try_from(age).unwrap_or(0))
}

/// The error of a camera, with its remedy if the driver's code tells the cause.
fn camera_error(index: u32, error: &io::Error) -> Error {
    let problem = match Errno::from_io_error(error) {
        Some(Errno::NOENT) => "it is not there; plug it in, or try `whycam demo`",
        Some(Errno::IO) => "it stopped with a hardware fault; unplug it and plug it in again",
        Some(Errno::ACCESS) => "permission denied; add yourself to the group `video` and log in again",
        Some(Errno::BUSY) => "it is busy; close the program that uses it",
        Some(Errno::NODEV) => "it was unplugged",
        Some(Errno::NOSPC) => {
            "the USB bus has no room for its pictures; use another port, or a smaller --size or --fps"
        }
        // The time limit of the stream, not an error of the driver.
        None if error.kind() == io::ErrorKind::TimedOut => return stalled(index),
        _ => return Error::camera(index, error),
    };
    Error::camera(index, problem)
}
