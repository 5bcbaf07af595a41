//! The picture that a person sees: the map over the frame, and the caption.

mod caption;
mod colormap;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeError, ResizeOptions, Resizer};
use image::RgbImage;

pub use caption::Caption;
pub use colormap::{COLORMAPS, Colormap};

use crate::cam::CamMap;
use crate::error::{Error, Result};
use crate::explainer::{Explanation, Facts};
use crate::preprocess::Region;

/// How the map is laid over the frame.
#[derive(Clone, Debug)]
pub struct Style {
    pub colormap: Colormap,
    /// The map's share of the picture, 0..=1.
    pub alpha: f32,
}

impl Style {
    pub const DEFAULT_ALPHA: f32 = 0.4;
}

/// Draws explanations; its buffers are used again for each.
pub struct Overlay {
    style: Style,
    resizer: Resizer,
    caption: Caption,
}

impl Overlay {
    /// # Errors
    /// The embedded font is damaged.
    pub fn new(style: Style) -> Result<Self> {
        Ok(Self { style, resizer: Resizer::new(), caption: Caption::new()? })
    }

    /// Draws the map and the caption onto the frame that they explain.
    ///
    /// # Errors
    /// The frame is empty.
    pub fn draw(&mut self, frame: &mut RgbImage, explanation: &Explanation, facts: &Facts) -> Result<()> {
        if explanation.map.evidence {
            self.lay_over(frame, &explanation.map, &explanation.region)?;
        }
        let label = facts.label(explanation.class_index);
        let percent = 100.0 * explanation.probability;
        let evidence = if explanation.map.evidence { "" } else { "  no evidence" };
        self.caption.draw(frame, &format!("{label} {percent:.0} %{evidence}"));
        Ok(())
    }

    fn lay_over(&mut self, frame: &mut RgbImage, map: &CamMap, region: &Region) -> Result<()> {
        let (width, height) = frame.dimensions();
        let failed = |e: &dyn std::fmt::Display| {
            Error::input("picture", format!("cannot lay the map over {width}x{height}: {e}"))
        };
        let (h, w) = map.values.dim();
        let bytes: Vec<u8> = map.values.iter().flat_map(|v| v.to_ne_bytes()).collect();
        let map_picture = ImageRef::new(w as u32, h as u32, &bytes, PixelType::F32).map_err(|e| failed(&e))?;
        let (heat, [left, top, right, bottom]) =
            upscale(&mut self.resizer, &map_picture, region, width, height).map_err(|e| failed(&e))?;
        let heat = heat.buffer().as_chunks().0;
        let highest = 255.0 / map.max;
        let alpha = (self.style.alpha * 256.0) as u32;
        let row_length = (right - left) as usize;
        for (y, row) in (top..bottom).zip(heat.chunks_exact(row_length)) {
            let start = (y as usize * width as usize + left as usize) * 3;
            let pixels = &mut frame.as_mut()[start..start + row_length * 3];
            for (pixel, value) in pixels.as_chunks_mut::<3>().0.iter_mut().zip(row) {
                let level = (f32::from_ne_bytes(*value) * highest) as u8;
                let colour = self.style.colormap.at(level);
                for (channel, over) in pixel.iter_mut().zip(colour) {
                    *channel = ((u32::from(*channel) * (256 - alpha) + u32::from(over) * alpha) >> 8) as u8;
                }
            }
        }
        Ok(())
    }
}

/// The map at the frame's resolution, bilinear, for the part of the frame that the model saw:
/// values and the part's left, top, right and bottom in pixels.
fn upscale(
    resizer: &mut Resizer,
    map: &ImageRef,
    region: &Region,
    width: u32,
    height: u32,
) -> Result<(Image<'static>, [u32; 4]), ResizeError> {
    let (w, h) = (f64::from(map.width()), f64::from(map.height()));
    let [x, y, share_width, share_height] = region.filled(width, height);
    let left = region.x.max(0.0).round() as u32;
    let top = region.y.max(0.0).round() as u32;
    let right = ((region.x + region.width).round() as u32).clamp(left + 1, width);
    let bottom = ((region.y + region.height).round() as u32).clamp(top + 1, height);
    let mut heat = Image::new(right - left, bottom - top, PixelType::F32);
    let bilinear = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    resizer.resize(map, &mut heat, &bilinear.crop(x * w, y * h, share_width * w, share_height * h))?;
    Ok((heat, [left, top, right, bottom]))
}
