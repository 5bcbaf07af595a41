//! Upright RGB to what an encoder takes: BT.709 in the limited range of film.

use ffmpeg::format::Pixel;
use ffmpeg::util::frame::Video;
use ffmpeg_the_third as ffmpeg;
use image::RgbImage;
use yuv::{YuvChromaSubsampling, YuvConversionMode, YuvPlanarImageMut, YuvRange, YuvStandardMatrix};

use crate::filter::{Filter, pixel_name};

pub struct Converter {
    planes: YuvPlanarImageMut<'static, u8>,
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
        let (pixel, sampling) = if coarse {
            (Pixel::YUV420P, YuvChromaSubsampling::Yuv420)
        } else {
            (Pixel::YUV444P, YuvChromaSubsampling::Yuv444)
        };
        let chain = format!("{turn_back}format={}", pixel_name(encoded));
        let as_it_is = turn_back.is_empty() && pixel == encoded;
        let filter = if as_it_is { None } else { Some(Filter::new(pixel, width, height, &chain)?) };
        Ok(Self {
            planes: YuvPlanarImageMut::alloc(width, height, sampling),
            pixel,
            video: Video::empty(),
            filter,
            filtered: Video::empty(),
        })
    }

    /// # Errors
    /// The picture has another size.
    pub fn run(&mut self, picture: &RgbImage) -> Result<&mut Video, ffmpeg::Error> {
        let convert = if self.pixel == Pixel::YUV420P { yuv::rgb_to_yuv420 } else { yuv::rgb_to_yuv444 };
        let (row, range, matrix) = (3 * picture.width(), YuvRange::Limited, YuvStandardMatrix::Bt709);
        convert(&mut self.planes, picture.as_raw(), row, range, matrix, YuvConversionMode::Balanced)
            .map_err(|_| ffmpeg::Error::InvalidData)?;
        if !is_writable(&mut self.video) {
            self.video = Video::new(self.pixel, picture.width(), picture.height());
        }
        let YuvPlanarImageMut { y_plane, y_stride, u_plane, u_stride, v_plane, v_stride, .. } = &self.planes;
        for (number, (plane, width)) in
            [(y_plane, y_stride), (u_plane, u_stride), (v_plane, v_stride)].iter().enumerate()
        {
            let (stride, width) = (self.video.stride(number), **width as usize);
            for (to, from) in self.video.data_mut(number).chunks_mut(stride).zip(plane.borrow().chunks(width)) {
                to[..width].copy_from_slice(from);
            }
        }
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
