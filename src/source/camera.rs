//! A camera, by nokhwa.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nokhwa::pixel_format::RgbFormat;
use nokhwa::utils::{ApiBackend, CameraFormat, CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType};
use nokhwa::{Buffer, Camera, NokhwaError};

use super::Source;
use crate::error::{Error, Result};
use crate::frame::{Frame, Medium, MediumKind, Time, TimeBase};
use crate::link::{self, Policy};
use crate::picture::{Picture, Pool};

/// Longer ago than this no picture was taken that a camera gives only now.
const OLDEST: Duration = Duration::from_secs(10);

/// A camera that the system knows.
#[derive(Clone, Debug)]
pub struct CameraName {
    pub index: u32,
    pub name: String,
}

/// What is wanted of a camera, where it can.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// Width and height in pixels.
    pub size: Option<(u32, u32)>,
    /// Frames a second.
    pub rate: Option<u32>,
}

/// All cameras, by number; nodes that give no pictures, such as those for metadata, are none.
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

/// Whether a device has formats of pictures; one that cannot be looked into may have.
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

/// A size of a camera's pictures with how they can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// In pixels.
    pub width: u32,
    pub height: u32,
    /// Pixel formats that can be decoded.
    pub formats: Vec<String>,
    /// Frames a second.
    pub rates: Vec<u32>,
}

/// The sizes of a camera, each with the best first.
///
/// # Errors
/// The camera is absent, busy or not to be opened.
pub fn list_sizes(index: u32) -> Result<Vec<Size>> {
    let (_, formats) = look_into(index, Wish::default())?;
    let mut sizes: Vec<Size> = Vec::new();
    for format in formats {
        let (width, height) = (format.width(), format.height());
        let at = sizes.iter().position(|size| (size.width, size.height) == (width, height)).unwrap_or_else(|| {
            sizes.push(Size { width, height, formats: Vec::new(), rates: Vec::new() });
            sizes.len() - 1
        });
        let Size { formats, rates, .. } = &mut sizes[at];
        let name = format.format().to_string();
        if !formats.contains(&name) {
            formats.push(name);
        }
        if !rates.contains(&format.frame_rate()) {
            rates.push(format.frame_rate());
        }
    }
    Ok(sizes)
}

/// Opens a camera without streaming, with its formats that can be decoded, best first.
fn look_into(index: u32, wish: Wish) -> Result<(Camera, Vec<CameraFormat>)> {
    let failed = |e: NokhwaError| camera_error(index, &e);
    #[cfg(target_os = "linux")]
    make_readable(index);
    // A format that the camera surely has, to open it and see which others it has.
    let fastest = RequestedFormat::new::<RgbFormat>(RequestedFormatType::AbsoluteHighestFrameRate);
    let mut camera = Camera::new(CameraIndex::Index(index), fastest).map_err(failed)?;
    let formats = camera.compatible_camera_formats().map_err(failed)?;
    let mut formats: Vec<CameraFormat> = formats.into_iter().filter(|f| decode_cost(f.format()).is_some()).collect();
    formats.sort_by_key(|format| std::cmp::Reverse((nearness(format, wish), suitability(format))));
    Ok((camera, formats))
}

/// How near a format comes to what is wanted; larger is nearer.
fn nearness(format: &CameraFormat, wish: Wish) -> (i64, i64) {
    let apart = |a: u32, b: u32| -i64::from(a.abs_diff(b));
    let size = wish.size.map_or(0, |(width, height)| apart(format.width(), width) + apart(format.height(), height));
    (size, wish.rate.map_or(0, |rate| apart(format.frame_rate(), rate)))
}

/// The number of the camera that a user means: a number, a device path or a part of a name; the
/// first where none is given.
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

/// A camera whose frames are read on a thread of its own as they come: one that is read too late gives frames that have
/// waited in its driver.
pub struct CameraSource {
    camera: u32,
    shots: link::Receiver<Result<Shot>>,
    medium: Arc<Medium>,
    pool: Pool,
    started: Option<Instant>,
    /// How many frames were given or passed over.
    counted: u64,
    passed_over: u64,
}

/// What the camera gave, not decoded.
struct Shot {
    buffer: Buffer,
    taken: Instant,
    /// Counted from 0.
    number: u64,
}

impl CameraSource {
    /// Opens a camera in the format that comes nearest to what is wanted, and else suits live view: about 640x480 to
    /// 1280x720, 24 to 60 frames a second, cheap to decode.
    ///
    /// # Errors
    /// The camera is absent, busy, or gives no format that can be decoded.
    pub fn open(index: u32, wish: Wish) -> Result<Self> {
        let (shots_in, shots) = link::link(Policy::Newest, 1);
        let (opened_in, opened) = crossbeam_channel::bounded(1);
        let work = move || match stream(index, wish) {
            Ok(camera) => {
                let _ = opened_in.send(Ok(camera.camera_format()));
                read(camera, index, &shots_in);
            }
            Err(error) => drop(opened_in.send(Err(error))),
        };
        let broken = |problem: &str| Error::Runtime { runtime: "thread camera".into(), problem: problem.into() };
        thread::Builder::new().name("camera".into()).spawn(work).map_err(|e| broken(&e.to_string()))?;
        let format = opened.recv().map_err(|_| broken("it broke off; please report this"))??;
        let medium = Medium {
            name: format!("camera {index}"),
            path: None,
            kind: MediumKind::Live,
            width: format.width(),
            height: format.height(),
            time_base: TimeBase::MICROSECONDS,
        };
        Ok(Self {
            camera: index,
            shots,
            medium: Arc::new(medium),
            pool: Pool::default(),
            started: None,
            counted: 0,
            passed_over: 0,
        })
    }
}

impl CameraSource {
    fn decode(&self, buffer: &Buffer) -> Result<Picture, NokhwaError> {
        let (width, height) = (buffer.resolution().width(), buffer.resolution().height());
        let mut picture = self.pool.picture(width, height);
        let format = buffer.source_frame_format();
        // nokhwa copies these without a look at their size.
        if format == FrameFormat::RAWRGB && buffer.buffer().len() != picture.len() {
            let error = format!("{} bytes for {width}x{height}", buffer.buffer().len());
            return Err(NokhwaError::ProcessFrameError { src: format, destination: "RGB".into(), error });
        }
        buffer.decode_image_to_buffer::<RgbFormat>(&mut picture)?;
        Ok(picture)
    }
}

/// Starts a camera in the best format that it accepts.
fn stream(index: u32, wish: Wish) -> Result<Camera> {
    let failed = |e: NokhwaError| camera_error(index, &e);
    let (mut camera, formats) = look_into(index, wish)?;
    // The list holds rates that the camera lacks (nokhwa reads 2/25 s as 25 a second), and the
    // camera refuses those.
    let exact = |format: CameraFormat| RequestedFormat::new::<RgbFormat>(RequestedFormatType::Exact(format));
    let mut refused = None;
    let accepted = formats.into_iter().any(|format| {
        let set = camera.set_camera_requset(exact(format));
        refused = set.err();
        refused.is_none()
    });
    if let Some(error) = refused.filter(|_| !accepted) {
        return Err(failed(error));
    }
    camera.open_stream().map_err(failed)?;
    Ok(camera)
}

/// Passes on what the camera gives until it breaks or nobody takes it any more.
fn read(mut camera: Camera, index: u32, shots: &link::Sender<Result<Shot>>) {
    for number in 0.. {
        let shot = camera.frame().map_err(|e| camera_error(index, &e)).map(|buffer| {
            let taken = taken(&buffer);
            Shot { buffer, taken, number }
        });
        let broken = shot.is_err();
        if broken {
            // It can be opened again as soon as the error is known.
            drop(camera);
            shots.send(shot);
            return;
        }
        if !shots.send(shot) {
            return;
        }
    }
}

/// When a picture was taken: now, where the camera does not say.
fn taken(buffer: &Buffer) -> Instant {
    let now = Instant::now();
    let stamp = buffer.capture_timestamp().map(|stamp| SystemTime::UNIX_EPOCH + stamp);
    let age = stamp.map_or(Duration::ZERO, |stamp| age(stamp, SystemTime::now()));
    now.checked_sub(age).unwrap_or(now)
}

/// How long ago a stamp was; nothing, if the system's clock was set meanwhile.
fn age(stamp: SystemTime, now: SystemTime) -> Duration {
    let age = now.duration_since(stamp).unwrap_or_default();
    if age < OLDEST { age } else { Duration::ZERO }
}

/// Puts a camera that another program left at a fractional rate or in a format that nokhwa does not
/// know into one that it does: nokhwa fails to open it otherwise, whatever is asked of it. What
/// does not succeed here is left for nokhwa to report.
#[cfg(target_os = "linux")]
fn make_readable(index: u32) {
    use v4l::frameinterval::FrameIntervalEnum;
    use v4l::video::Capture;
    use v4l::video::capture::Parameters;
    use v4l::{Device, FourCC};

    let known = [b"YUYV", b"MJPG", b"NV12", b"RGB3", b"BGR3"].map(FourCC::new);
    let Ok(device) = Device::new(index as usize) else { return };
    let Ok(mut format) = Capture::format(&device) else { return };
    if !known.contains(&format.fourcc) {
        let offered = Capture::enum_formats(&device).unwrap_or_default();
        let Some(readable) = known.into_iter().find(|k| offered.iter().any(|o| o.fourcc == *k)) else { return };
        format.fourcc = readable;
        let Ok(set) = Capture::set_format(&device, &format) else { return };
        format = set;
    }
    let whole = Capture::params(&device).is_ok_and(|p| p.interval.numerator == 1);
    if whole {
        return;
    }
    let intervals = device.enum_frameintervals(format.fourcc, format.width, format.height).unwrap_or_default();
    let rates = intervals.iter().filter_map(|offered| match &offered.interval {
        FrameIntervalEnum::Discrete(interval) if interval.numerator == 1 => Some(interval.denominator),
        _ => None,
    });
    if let Some(rate) = rates.max() {
        let _ = Capture::set_params(&device, &Parameters::with_fps(rate));
    }
}

/// How much work a pixel format is to decode, or `None` for one that nokhwa cannot.
fn decode_cost(format: FrameFormat) -> Option<u32> {
    match format {
        FrameFormat::RAWRGB | FrameFormat::RAWBGR => Some(0),
        FrameFormat::NV12 => Some(1),
        FrameFormat::YUYV => Some(2),
        FrameFormat::MJPEG => Some(3),
        FrameFormat::GRAY => None,
    }
}

/// Larger is better: a fluid rate first, then a size that is neither coarse nor heavy, then the
/// rate itself, then few pixels, then cheap decoding.
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

fn camera_error(index: u32, error: &NokhwaError) -> Error {
    let text = error.to_string();
    let problem = if text.contains("os error 16") {
        "it is busy; close the program that uses it".into()
    } else if text.contains("os error 13") {
        "permission denied; add yourself to the group `video` and log in again".into()
    } else if text.contains("os error 19") {
        "it was unplugged".into()
    } else if text.contains("os error 5)") {
        "it broke off with a fault of its own; unplug it and plug it in again".into()
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

impl Source for CameraSource {
    fn next_frame(&mut self) -> Result<Option<Frame>> {
        /// Webcams now and then send a damaged picture, often as the first.
        const DAMAGED_IN_A_ROW: u32 = 30;
        let mut damaged = 0;
        loop {
            let Shot { buffer, taken, number } = match self.shots.receive_within(Duration::from_secs(1)) {
                link::Received::Item(shot) => shot?,
                link::Received::Nothing => continue,
                link::Received::End => return Ok(None),
            };
            self.passed_over += number - self.counted;
            self.counted = number + 1;
            let picture = match self.decode(&buffer) {
                Ok(picture) => picture,
                Err(error) if damaged == DAMAGED_IN_A_ROW => return Err(camera_error(self.camera, &error)),
                Err(_) => {
                    damaged += 1;
                    self.passed_over += 1;
                    continue;
                }
            };
            let started = *self.started.get_or_insert(taken);
            let ticks = i64::try_from(taken.saturating_duration_since(started).as_micros()).unwrap_or(i64::MAX);
            let time = Time { ticks, base: TimeBase::MICROSECONDS };
            return Ok(Some(Frame { taken, ..Frame::now(&self.medium, number, time, picture) }));
        }
    }

    fn frame_count(&self) -> Option<u64> {
        None
    }

    fn passed_over(&mut self) -> u64 {
        std::mem::take(&mut self.passed_over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_makes_no_picture_old_or_new() {
        let now = SystemTime::now();
        let [moment, year] = [Duration::from_millis(30), Duration::from_hours(8766)];
        assert_eq!(age(now - moment, now), moment);
        assert_eq!(age(now - year, now), Duration::ZERO);
        assert_eq!(age(now + year, now), Duration::ZERO);
    }
}
