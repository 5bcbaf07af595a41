//! Conversion of upright RGB to an encoder's pixel format.

use ffmpeg::format::Pixel;
use ffmpeg::util::frame::Video;
use ffmpeg_the_third as ffmpeg;
use image::RgbImage;
use yuv::{BufferStoreMut, YuvConversionMode, YuvPlanarImageMut, YuvRange, YuvStandardMatrix};

use crate::media::colour::is_rgb;
use crate::media::ffmpeg_filter::{Filter, pixel_name};

/// Converts pictures to an encoder's pixel format, reusing its frames: BT.709 in the limited range, or RGB for encoders
/// of RGB.
pub struct PixelConverter {
    width: u32,
    height: u32,
    /// RGB; or 4:2:0; or 4:4:4 if the encoder has another format, or a side is odd.
    pixel: Pixel,
    /// The picture in that format.
    video: Video,
    /// Rotates pictures back into their stored form, and converts them to a format other than these.
    filter: Option<Filter>,
    /// The output of the filter. It is separate, as `video` keeps its format.
    filtered: Video,
}

impl PixelConverter {
    /// `encoded` is the encoder's pixel format, `rotate_back` a prefix of a filter chain, and the size is in pixels.
    ///
    /// # Errors
    /// FFmpeg was built without a required filter.
    pub fn new(encoded: Pixel, rotate_back: &str, width: u32, height: u32) -> Result<Self, ffmpeg::Error> {
        let subsampled = encoded == Pixel::YUV420P && width.is_multiple_of(2) && height.is_multiple_of(2);
        let pixel = match (is_rgb(encoded), subsampled) {
            (true, _) => Pixel::RGB24,
            (false, true) => Pixel::YUV420P,
            (false, false) => Pixel::YUV444P,
        };
        let chain = format!("{rotate_back}format={}", pixel_name(encoded));
        let unchanged = rotate_back.is_empty() && pixel == encoded;
        let filter = if unchanged { None } else { Some(Filter::new(pixel, width, height, &chain)?) };
        Ok(Self { width, height, pixel, video: Video::empty(), filter, filtered: Video::empty() })
    }

    /// Converts one picture.
    ///
    /// # Errors
    /// The picture has another size.
    pub fn run(&mut self, picture: &RgbImage) -> Result<&mut Video, ffmpeg::Error> {
        if picture.dimensions() != (self.width, self.height) {
            return Err(ffmpeg::Error::InvalidData);
        }
        if !is_writable(&mut self.video) {
            self.video = Video::new(self.pixel, self.width, self.height);
        }
        if self.pixel == Pixel::RGB24 {
            self.write_rgb(picture);
        } else {
            self.write_yuv(picture)?;
        }
        let Some(filter) = &mut self.filter else { return Ok(&mut self.video) };
        self.filtered = filter.run(&self.video)?;
        Ok(&mut self.filtered)
    }

    fn write_rgb(&mut self, picture: &RgbImage) {
        let (row, stride) = (3 * self.width as usize, self.video.stride(0));
        for (to, from) in self.video.data_mut(0).chunks_mut(stride).zip(picture.as_raw().chunks_exact(row)) {
            to[..row].copy_from_slice(from);
        }
    }

    fn write_yuv(&mut self, picture: &RgbImage) -> Result<(), ffmpeg::Error> {
        let convert = if self.pixel == Pixel::YUV420P { yuv::rgb_to_yuv420 } else { yuv::rgb_to_yuv444 };
        let (width, height) = (self.width, self.height);
        let [(y_plane, y_stride), (u_plane, u_stride), (v_plane, v_stride)] = planes(&mut self.video);
        let mut planes = YuvPlanarImageMut { y_plane, y_stride, u_plane, u_stride, v_plane, v_stride, width, height };
        let (row, range, matrix) = (3 * width, YuvRange::Limited, YuvStandardMatrix::Bt709);
        convert(&mut planes, picture.as_raw(), row, range, matrix, YuvConversionMode::Balanced)
            .map_err(|_| ffmpeg::Error::InvalidData)
    }
}

/// Whether the frame has exclusive access to its memory: an encoder with look-ahead may still read it.
#[expect(unsafe_code, reason = "the safe interface lacks this function")]
fn is_writable(video: &mut Video) -> bool {
    // SAFETY: the pointer belongs to the frame borrowed here. The safe interface lacks this function.
    unsafe { ffmpeg::ffi::av_frame_is_writable(video.as_mut_ptr()) > 0 }
}

/// The planes of a frame, each with its stride in bytes.
#[expect(unsafe_code, reason = "the safe interface borrows one plane at a time")]
fn planes(video: &mut Video) -> [(BufferStoreMut<'_, u8>, u32); 3] {
    [0, 1, 2].map(|number| {
        let stride = video.stride(number) as u32;
        let plane = video.data_mut(number);
        let (start, length) = (plane.as_mut_ptr(), plane.len());
        // SAFETY: the planes do not overlap, and the frame stays borrowed as long as they do. The safe interface can
        // borrow only one plane at a time.
        (BufferStoreMut::Borrowed(unsafe { std::slice::from_raw_parts_mut(start, length) }), stride)
    })
}
