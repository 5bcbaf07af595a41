//! Transparent pictures, laid over white, so that colours that nobody sees do not count.

use image::{DynamicImage, Rgb, RgbImage, RgbaImage};

/// A picture of any form as RGB, over white where it is transparent.
pub fn over_white(picture: DynamicImage) -> RgbImage {
    if picture.color().has_alpha() { rgba_over_white(&picture.into_rgba8()) } else { picture.into_rgb8() }
}

/// A picture with an alpha channel that is not premultiplied, over white.
pub fn rgba_over_white(picture: &RgbaImage) -> RgbImage {
    let mut opaque = RgbImage::new(picture.width(), picture.height());
    for (to, from) in opaque.pixels_mut().zip(picture.pixels()) {
        *to = Rgb(over(from.0));
    }
    opaque
}

/// One pixel over white.
pub fn over([red, green, blue, alpha]: [u8; 4]) -> [u8; 3] {
    let alpha = u32::from(alpha);
    [red, green, blue].map(|level| ((u32::from(level) * alpha + 255 * (255 - alpha) + 127) / 255) as u8)
}

#[cfg(test)]
mod tests {
    use super::over;

    #[test]
    fn what_is_transparent_is_white() {
        assert_eq!(
            [over([9, 8, 7, 0]), over([9, 8, 7, 255]), over([255, 0, 0, 128])],
            [[255; 3], [9, 8, 7], [255, 127, 127]]
        );
    }
}
