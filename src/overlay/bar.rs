//! The colour bar along the right edge.

use image::RgbImage;

use super::caption::Caption;
use super::colormap::Colormap;
use super::draw::PALETTE;

/// Draws the colours of 0 to `top` along the right edge, from bottom to top, with `top` and its unit. A `two_sided` bar has
/// those of `-top` to `top`.
pub fn draw(picture: &mut RgbImage, caption: &Caption, colormap: &Colormap, two_sided: bool, top: f32, unit: &str) {
    let (width, height) = picture.dimensions();
    let thickness = (width.min(height) / 40).max(4);
    let (left, upper, lower) = (width.saturating_sub(2 * thickness), height / 8, height - height / 8);
    for y in upper..lower {
        let level = 255 * (lower - 1 - y) / (lower - upper).max(1);
        for x in left..(left + thickness).min(width) {
            picture.get_pixel_mut(x, y).0 = if two_sided { side_colour(level) } else { colormap.at(level as u8) };
        }
    }
    let number = if (0.01..1000.0).contains(&top) { format!("{top:.2}") } else { format!("{top:.1e}") };
    caption.label(picture, &format!("{number} {unit}"), left + thickness, upper);
    let lowest = if two_sided { format!("-{number}") } else { "0".into() };
    caption.label(picture, &lowest, left + thickness, lower + Caption::label_height(picture));
}

/// The colour of a level 0..=255 of a two-sided bar, whose middle is zero.
fn side_colour(level: u32) -> [u8; 3] {
    let [up, down] = [PALETTE[0], PALETTE[1]];
    let (colour, strength) = if level >= 128 { (up, level - 128) } else { (down, 127 - level) };
    colour.map(|channel| (u32::from(channel) * strength / 127) as u8)
}
