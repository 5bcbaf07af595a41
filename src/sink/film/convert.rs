//! Upright RGB to what an encoder takes: BT.709 in the limited range of film.

use ffmpeg::format::Pixel;
use ffmpeg::util::frame::Video;
use ffmpeg_the_third as ffmpeg;
use image::RgbImage;
use yuv::{BufferStoreMut, YuvConversionMode, YuvPlanarImageMut, YuvRange, YuvStandardMatrix};

use crate::filter::{Filter, pixel_name};

pub struct Converter {
    width: u32,
    height: u32,
    /// 4:2:0, or 4:4:4 where the encoder takes that, or a side is odd.
    pixel: Pixel,
    /// The picture in that format, unless the filter has taken it.
    video: Video,
    /// Turns pictures back, and into a format that the encoder takes beside these two.
    filter: Option<Filter>,
    /// What the filter made of it; apart from `video`, whose memory keeps its own format.
    filtered: Video,
}

impl Converter {
    /// # Errors
    /// FFmpeg was built without a filter that is needed.
    pub fn new(encoded: Pixel, turn_back: &str, width: u32, height: u32) -> Result<Self, ffmpeg::Error> {
        let coarse = encoded == Pixel::YUV420P && width.is_multiple_of(2) && height.is_multiple_of(2);
        let pixel = if coarse { Pixel::YUV420P } else { Pixel::YUV444P };
        let chain = format!("{turn_back}format={}", pixel_name(encoded));
        let as_it_is = turn_back.is_empty() && pixel == encoded;
        let filter = if as_it_is { None } else { Some(Filter::new(pixel, width, height, &chain)?) };
        Ok(Self { width, height, pixel, video: Video::empty(), filter, filtered: Video::empty() })
    }

    /// # Errors
    /// The picture has another size.
    pub fn run(&mut self, picture: &RgbImage) -> Result<&mut Video, ffmpeg::Error> {
        let convert = if self.pixel == Pixel::YUV420P { yuv::rgb_to_yuv420 } else { yuv::rgb_to_yuv444 };
        let (width, height) = (self.width, self.height);
        if picture.dimensions() != (width, height) {
            return Err(ffmpeg::Error::InvalidData);
        }
        if !is_writable(&mut self.video) {
            self.video = Video::new(self.pixel, width, height);
        }
        let [(y_plane, y_stride), (u_plane, u_stride), (v_plane, v_stride)] = planes(&mut self.video);
        let mut planes = YuvPlanarImageMut { y_plane, y_stride, u_plane, u_stride, v_plane, v_stride, width, height };
        let (row, range, matrix) = (3 * width, YuvRange::Limited, YuvStandardMatrix::Bt709);
        convert(&mut planes, picture.as_raw(), row, range, matrix, YuvConversionMode::Balanced)
            .map_err(|_| ffmpeg::Error::InvalidData)?;
        let Some(filter) = &mut self.filter else { return Ok(&mut self.video) };
        self.filtered = filter.run(&self.video)?;
        Ok(&mut self.filtered)
    }
}

/// Whether nobody else reads from a frame's memory, as an encoder does that looks ahead.
#[allow(unsafe_code)]
fn is_writable(video: &mut Video) -> bool {
    // SAFETY: the pointer is that of the frame just borrowed. The safe interface lacks this question.
    unsafe { ffmpeg::ffi::av_frame_is_writable(video.as_mut_ptr()) > 0 }
}

/// The memory of the planes of a frame, and the bytes from row to row.
#[allow(unsafe_code)]
fn planes(video: &mut Video) -> [(BufferStoreMut<'_, u8>, u32); 3] {
    [0, 1, 2].map(|number| {
        let stride = video.stride(number) as u32;
        let plane = video.data_mut(number);
        let (start, length) = (plane.as_mut_ptr(), plane.len());
        // SAFETY: planes lie apart from each other, and the frame is borrowed for as long as they are. The safe
        // interface borrows one at a time.
        (BufferStoreMut::Borrowed(unsafe { std::slice::from_raw_parts_mut(start, length) }), stride)
    })
}
