//! The pixels of characters.

use std::cell::RefCell;
use std::collections::HashMap;

use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont, point};
use image::RgbImage;

/// Draws characters, and keeps the coverage of rasterised ones, since most return in the next frame.
#[derive(Default)]
pub struct Glyphs {
    kept: RefCell<HashMap<GlyphKey, Coverage>>,
}

/// A glyph, and the bits of its height and of its offset from the pixel where the line starts.
type GlyphKey = (GlyphId, [u32; 3]);

/// How much of each pixel a character covers.
struct Coverage {
    /// The column and row of its upper left pixel, from the pixel where the line starts.
    corner: [i64; 2],
    width: usize,
    /// 0..=1, row by row.
    shares: Vec<f32>,
}

impl Glyphs {
    /// More than a frame needs; a window that is resized keeps adding sizes.
    const MOST: usize = 4096;

    /// Draws a line of text that starts at `start`, on the baseline, in pixels.
    pub fn draw(
        &self,
        font: &FontRef,
        picture: &mut RgbImage,
        text: &str,
        colour: [u8; 3],
        height: f32,
        start: [f32; 2],
    ) {
        let pixel = start.map(f32::floor);
        let [mut x, y] = [start[0] - pixel[0], start[1] - pixel[1]];
        let scaled = font.as_scaled(PxScale::from(height));
        let mut kept = self.kept.borrow_mut();
        if kept.len() > Self::MOST {
            kept.clear();
        }
        for character in text.chars() {
            let glyph = scaled.glyph_id(character);
            let place = (glyph, [height, x, y].map(f32::to_bits));
            let coverage = kept.entry(place).or_insert_with(|| Coverage::of(font, glyph, height, [x, y]));
            coverage.draw(picture, pixel.map(|at| at as i64), colour);
            x += scaled.h_advance(glyph);
        }
    }
}

impl Coverage {
    fn of(font: &FontRef, glyph: GlyphId, height: f32, [x, y]: [f32; 2]) -> Self {
        let positioned = glyph.with_scale_and_position(PxScale::from(height), point(x, y));
        let Some(outline) = font.outline_glyph(positioned) else {
            return Self { corner: [0; 2], width: 1, shares: Vec::new() };
        };
        let bounds = outline.px_bounds();
        let width = (bounds.width() as usize).max(1);
        let mut shares = vec![0.0; width * bounds.height() as usize];
        outline.draw(|column, row, share| {
            if let Some(to) = shares.get_mut(row as usize * width + column as usize) {
                *to = share;
            }
        });
        Self { corner: [bounds.min.x as i64, bounds.min.y as i64], width, shares }
    }

    fn draw(&self, picture: &mut RgbImage, at: [i64; 2], colour: [u8; 3]) {
        let [left, top] = [at[0] + self.corner[0], at[1] + self.corner[1]];
        for (y, shares) in (top..).zip(self.shares.chunks_exact(self.width)) {
            for (x, share) in (left..).zip(shares) {
                let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { continue };
                let Some(pixel) = picture.get_pixel_mut_checked(x, y) else { continue };
                for (channel, ink) in pixel.0.iter_mut().zip(colour) {
                    *channel = (f32::from(*channel) * (1.0 - share) + f32::from(ink) * share) as u8;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a text at `start` does to a grey picture.
    fn drawn(glyphs: &Glyphs, start: [f32; 2]) -> RgbImage {
        let font = FontRef::try_from_slice(epaint_default_fonts::HACK_REGULAR).unwrap_or_else(|e| panic!("{e}"));
        let mut picture = RgbImage::from_pixel(80, 30, image::Rgb([90; 3]));
        glyphs.draw(&font, &mut picture, "gyq 97 %", [255, 0, 90], 15.3, start);
        picture
    }

    #[test]
    fn kept_characters_are_drawn_as_new_ones_are() {
        let glyphs = Glyphs::default();
        let first = drawn(&glyphs, [3.4, 20.7]);
        let kept = glyphs.kept.borrow().len();
        assert!(kept > 0 && first.pixels().any(|pixel| pixel.0[0] > 200 && pixel.0[2] == 90));
        assert_eq!(drawn(&glyphs, [3.4, 20.7]), first);
        assert_eq!(glyphs.kept.borrow().len(), kept, "a character was drawn anew");
        assert_ne!(drawn(&glyphs, [3.9, 20.7]), first);
        assert_eq!(drawn(&glyphs, [3.9, 20.7]), drawn(&Glyphs::default(), [3.9, 20.7]));
    }

    #[test]
    fn what_lies_beyond_the_picture_is_left_out() {
        let moved = drawn(&Glyphs::default(), [-20.0, 2.0]);
        let whole = drawn(&Glyphs::default(), [3.0, 20.0]);
        for (x, y, pixel) in moved.enumerate_pixels().filter(|(x, y, _)| x + 23 < 80 && y + 18 < 30) {
            assert_eq!(pixel, whole.get_pixel(x + 23, y + 18));
        }
        assert_eq!(drawn(&Glyphs::default(), [-900.0, 900.0]), RgbImage::from_pixel(80, 30, image::Rgb([90; 3])));
    }
}
