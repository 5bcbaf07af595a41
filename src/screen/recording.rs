//! The sign that a recording is on.

use image::RgbImage;

/// Draws a red dot in the lower right corner.
pub fn draw(picture: &mut RgbImage) {
    let (width, height) = picture.dimensions();
    let radius = i64::from((width.min(height) / 40).max(4));
    let (x, y) = (i64::from(width) - 3 * radius, i64::from(height) - 3 * radius);
    for (dx, dy) in (-radius..=radius).flat_map(|dy| (-radius..=radius).map(move |dx| (dx, dy))) {
        if dx * dx + dy * dy <= radius * radius
            && let Some(pixel) = picture.get_pixel_mut_checked((x + dx) as u32, (y + dy) as u32)
        {
            pixel.0 = [220, 30, 30];
        }
    }
}
