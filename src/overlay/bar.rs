//! The colour bar along the right edge.

use image::RgbImage;

use super::caption::Caption;
use super::colormap::Colormap;

/// Draws the colours of 0 to `top` along the right edge, from bottom to top, with `top` and its unit.
pub fn draw(picture: &mut RgbImage, caption: &Caption, colormap: &Colormap, top: f32, unit: &str) {
    let (width, height) = picture.dimensions();
    let thickness = (width.min(height) / 40).max(4);
    let (left, upper, lower) = (width.saturating_sub(2 * thickness), height / 8, height - height / 8);
    for y in upper..lower {
        let level = 255 * (lower - 1 - y) / (lower - upper).max(1);
        for x in left..(left + thickness).min(width) {
            picture.get_pixel_mut(x, y).0 = colormap.at(level as u8);
        }
    }
    let number = if (0.01..1000.0).contains(&top) { format!("{top:.2}") } else { format!("{top:.1e}") };
    caption.label(picture, &format!("{number} {unit}"), left + thickness, upper);
    caption.label(picture, "0", left + thickness, lower + Caption::label_height(picture));
}
