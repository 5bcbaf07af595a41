//! Decoded frames as upright RGB of one size.

use ffmpeg::util::frame::Video;
use ffmpeg_the_third as ffmpeg;
use yuv::{YuvPlanarImage, YuvRange, YuvStandardMatrix};

use crate::media::alpha::over;
use crate::media::colour::{SCALER, has_alpha, matrix_option, usual_yuv};
use crate::media::ffmpeg_filter::Filter;
use crate::media::{Picture, Pool};

/// Converts decoded frames to RGB of one size, whatever theirs is: others are fitted with bars. Transparent ones are laid
/// over white.
pub struct RgbConverter {
    /// The FFmpeg filters that turn stored pictures upright.
    upright: &'static str,
    width: u32,
    height: u32,
    pool: Pool,
    current: Option<Current>,
}

/// The filter for frames of one form.
struct Current {
    filter: Filter,
    form: Form,
    alpha: bool,
}

#[derive(Clone, Copy, PartialEq)]
struct Form {
    width: u32,
    height: u32,
    pixel: ffmpeg::format::Pixel,
    space: ffmpeg::color::Space,
}

impl RgbConverter {
    /// `width` and `height` are those of the upright pictures, in pixels.
    pub fn new(upright: &'static str, width: u32, height: u32) -> Self {
        Self { upright, width, height, pool: Pool::default(), current: None }
    }

    /// Converts one frame.
    ///
    /// # Errors
    /// FFmpeg was built without one of the filters.
    pub fn run(&mut self, decoded: &Video) -> Result<Picture, ffmpeg::Error> {
        let same_size = (decoded.width(), decoded.height()) == (self.width, self.height);
        if let Some(kind) = usual_yuv(decoded).filter(|_| same_size && self.upright.is_empty())
            && let Some(picture) = self.convert(decoded, kind)
        {
            return Ok(picture);
        }
        let form = Form {
            width: decoded.width(),
            height: decoded.height(),
            pixel: decoded.format(),
            space: decoded.color_space(),
        };
        if self.current.as_ref().is_none_or(|current| current.form != form) {
            self.current = Some(self.filter_for(form)?);
        }
        let Some(current) = &mut self.current else { return Err(ffmpeg::Error::Bug) };
        let converted = current.filter.run(decoded)?;
        let mut picture = self.pool.picture(self.width, self.height);
        let width = self.width as usize;
        let rows = picture.chunks_exact_mut(3 * width).zip(converted.data(0).chunks(converted.stride(0)));
        for (to, from) in rows {
            if current.alpha {
                let pixels = from[..4 * width].as_chunks().0;
                to.as_chunks_mut().0.iter_mut().zip(pixels).for_each(|(to, from)| *to = over(*from));
            } else {
                to.copy_from_slice(&from[..3 * width]);
            }
        }
        Ok(picture)
    }

    /// Converts a frame of the usual kind and the right size, faster than FFmpeg's scaler does when it rounds as well.
    fn convert(&self, decoded: &Video, (matrix, range): (YuvStandardMatrix, YuvRange)) -> Option<Picture> {
        let plane = |number: usize| (decoded.data(number), decoded.stride(number) as u32);
        let ((y_plane, y_stride), (u_plane, u_stride), (v_plane, v_stride)) = (plane(0), plane(1), plane(2));
        let (width, height) = (self.width, self.height);
        let planes = YuvPlanarImage { y_plane, y_stride, u_plane, u_stride, v_plane, v_stride, width, height };
        let mut picture = self.pool.picture(width, height);
        yuv::yuv420_to_rgb(&planes, &mut picture, 3 * width, range, matrix).ok()?;
        Some(picture)
    }

    fn filter_for(&self, form: Form) -> Result<Current, ffmpeg::Error> {
        let Form { width, height, pixel, space } = form;
        let (to_width, to_height) = (self.width, self.height);
        let turned = if self.upright.starts_with("transpose") { (height, width) } else { (width, height) };
        let same_shape = u64::from(turned.0) * u64::from(to_height) == u64::from(turned.1) * u64::from(to_width);
        let matrix = matrix_option(space, width, height);
        let alpha = has_alpha(pixel);
        let to = if alpha { "rgba" } else { "rgb24" };
        let upright = self.upright;
        let chain = if same_shape {
            format!("{upright}scale={to_width}:{to_height}:{SCALER}{matrix},format={to}")
        } else {
            format!(
                "{upright}scale={to_width}:{to_height}:force_original_aspect_ratio=decrease:{SCALER}{matrix},\
                 format={to},pad={to_width}:{to_height}:-1:-1"
            )
        };
        Ok(Current { filter: Filter::new(pixel, width, height, &chain)?, form, alpha })
    }
}
