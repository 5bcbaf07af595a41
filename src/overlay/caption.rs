//! Text on a picture.

use ab_glyph::{Font, FontRef, PxScale, ScaleFont};
use image::RgbImage;

use super::glyphs::Glyphs;
use crate::error::{Error, Result};

/// Draws lines of text on a dark plate, scaled to the picture.
pub struct Caption {
    font: FontRef<'static>,
    glyphs: Glyphs,
}

/// The position of a plate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corner {
    LowerLeft,
    UpperLeft,
    UpperRight,
    Middle,
}

impl Caption {
    /// The height of a line, as a share of the picture's shorter side.
    const HEIGHT: f32 = 0.075;
    const SMALLEST_PX: f32 = 13.0;
    /// The height of the label of a box, as a share of the usual height.
    const TAG: f32 = 0.45;
    /// How much of the picture shows through the plate, of 256. The plate in the middle may cover other text.
    const PLATE: u32 = 70;
    const PLATE_IN_THE_MIDDLE: u32 = 20;

    /// # Errors
    /// The embedded font is damaged.
    pub fn new() -> Result<Self> {
        let font = FontRef::try_from_slice(epaint_default_fonts::HACK_REGULAR);
        let font = font.map_err(|_| Error::input("embedded font", "damaged; build whycam again"))?;
        Ok(Self { font, glyphs: Glyphs::default() })
    }

    /// Draws lines in the lower left corner, each in its colour, the first at the top.
    pub fn draw(&self, picture: &mut RgbImage, lines: &[(String, [u8; 3])]) {
        self.plate(picture, lines, Corner::LowerLeft);
    }

    /// Draws lines at `corner`, smaller than [`Caption::draw`] except in the lower left corner. Returns the bounds of
    /// the text, `[left, top, right, bottom]` in pixels; `None` without text.
    pub fn plate(&self, picture: &mut RgbImage, lines: &[(String, [u8; 3])], corner: Corner) -> Option<[u32; 4]> {
        let (width, height) = picture.dimensions();
        let share = if corner == Corner::LowerLeft { 1.0 } else { 0.6 };
        let mut scale = (share * Self::HEIGHT * width.min(height) as f32).max(Self::SMALLEST_PX);
        let longest = |scale| lines.iter().map(|(text, _)| self.length(text, scale)).fold(0.0, f32::max);
        let (room, length) = (width as f32 - scale, longest(scale));
        if length > room && room > 0.0 {
            scale = (scale * room / length).max(Self::SMALLEST_PX);
        }
        let high = self.font.as_scaled(PxScale::from(scale)).height() * lines.len() as f32;
        if high > height as f32 && corner != Corner::LowerLeft {
            scale *= height as f32 / high;
        }
        let font = self.font.as_scaled(PxScale::from(scale));
        let margin = scale * 0.35;
        let plate_height = (font.height() * lines.len() as f32 + margin) as u32;
        let plate_width = ((longest(scale) + 2.0 * margin) as u32).min(width);
        let (left, top) = match corner {
            Corner::LowerLeft => (0, height.saturating_sub(plate_height)),
            Corner::UpperLeft => (0, 0),
            Corner::UpperRight => (width - plate_width, 0),
            Corner::Middle => ((width - plate_width) / 2, height.saturating_sub(plate_height) / 2),
        };
        let remainder = if corner == Corner::Middle { Self::PLATE_IN_THE_MIDDLE } else { Self::PLATE };
        for y in top..(top + plate_height).min(height) {
            for x in left..left + plate_width {
                let pixel = picture.get_pixel_mut(x, y);
                pixel.0 = pixel.0.map(|channel| ((u32::from(channel) * remainder) >> 8) as u8);
            }
        }
        let mut baseline = top as f32 + margin / 2.0 + font.ascent();
        for (text, colour) in lines {
            self.draw_line(picture, text, *colour, scale, [left as f32 + margin, baseline]);
            baseline += font.height();
        }
        let inner = margin as u32;
        let text = [
            left + inner,
            top + inner / 2,
            (left + plate_width).saturating_sub(inner),
            (top + plate_height).saturating_sub(inner / 2),
        ];
        (!lines.is_empty() && text[2] > text[0]).then_some(text)
    }

    /// Draws small text that ends at `right` on `baseline`, both in pixels.
    pub fn label(&self, picture: &mut RgbImage, text: &str, right: u32, baseline: u32) {
        let scale = Self::label_height(picture) as f32;
        let left = (right as f32 - self.length(text, scale)).max(0.0);
        let shadow = (scale / 12.0).max(1.0);
        self.draw_line(picture, text, [0; 3], scale, [left + shadow, baseline as f32 - scale * 0.3 + shadow]);
        self.draw_line(picture, text, [255; 3], scale, [left, baseline as f32 - scale * 0.3]);
    }

    /// Draws small text on a plate of a colour, on the upper side of a box whose upper left corner is `corner`; within it
    /// where there is no room above. The text is black or white, whichever contrasts more.
    pub fn tag(&self, picture: &mut RgbImage, text: &str, corner: [u32; 2], colour: [u8; 3]) {
        let plate = self.tag_plate(picture, text, corner);
        self.draw_tag(picture, text, plate, colour);
    }

    /// As [`Caption::tag`], moved down until it covers none of `taken`, to which it is added.
    pub fn tag_beside(
        &self,
        picture: &mut RgbImage,
        text: &str,
        corner: [u32; 2],
        colour: [u8; 3],
        taken: &mut Vec<[u32; 4]>,
    ) {
        let meant @ [left, top, right, bottom] = self.tag_plate(picture, text, corner);
        let covers = |plate: &[u32; 4], other: &[u32; 4]| {
            (0..2).all(|axis| plate[axis] < other[axis + 2] && other[axis] < plate[axis + 2])
        };
        let lower = |step: u32| [left, top + step * (bottom - top), right, bottom + step * (bottom - top)];
        let mut places = (0..).map(lower).take_while(|plate| plate[3] <= picture.height());
        let free = places.find(|plate| !taken.iter().any(|other| covers(plate, other))).unwrap_or(meant);
        taken.push(free);
        self.draw_tag(picture, text, free, colour);
    }

    /// The plate of a tag: left, top, right and bottom.
    fn tag_plate(&self, picture: &RgbImage, text: &str, corner: [u32; 2]) -> [u32; 4] {
        let (width, scale) = (picture.width(), Self::tag_scale(picture));
        let plate_height = self.font.as_scaled(PxScale::from(scale)).height().ceil() as u32;
        let plate_width = (self.length(text, scale).ceil() as u32 + 2 * (scale * 0.25) as u32).min(width);
        let left = corner[0].min(width - plate_width);
        let top = if corner[1] >= plate_height { corner[1] - plate_height } else { corner[1] };
        [left, top, left + plate_width, top + plate_height]
    }

    fn draw_tag(&self, picture: &mut RgbImage, text: &str, [left, top, right, bottom]: [u32; 4], colour: [u8; 3]) {
        let rows = top..bottom.min(picture.height());
        for (x, y) in rows.flat_map(|y| (left..right).map(move |x| (x, y))) {
            picture.get_pixel_mut(x, y).0 = colour;
        }
        let [red, green, blue] = colour.map(f32::from);
        let bright = 0.299 * red + 0.587 * green + 0.114 * blue > 110.0;
        let ink = if bright { [0; 3] } else { [255; 3] };
        let scale = Self::tag_scale(picture);
        let ascent = self.font.as_scaled(PxScale::from(scale)).ascent();
        self.draw_line(picture, text, ink, scale, [left as f32 + (scale * 0.25).floor(), top as f32 + ascent]);
    }

    fn tag_scale(picture: &RgbImage) -> f32 {
        let side = picture.width().min(picture.height()) as f32;
        (Self::HEIGHT * side * Self::TAG).max(Self::SMALLEST_PX)
    }

    /// The height of small text, in pixels.
    pub fn label_height(picture: &RgbImage) -> u32 {
        let side = picture.width().min(picture.height()) as f32;
        (Self::HEIGHT * side * 0.6).max(Self::SMALLEST_PX) as u32
    }

    fn draw_line(&self, picture: &mut RgbImage, text: &str, colour: [u8; 3], scale: f32, start: [f32; 2]) {
        self.glyphs.draw(&self.font, picture, text, colour, scale, start);
    }

    fn length(&self, text: &str, scale: f32) -> f32 {
        let font = self.font.as_scaled(PxScale::from(scale));
        text.chars().map(|c| font.h_advance(font.glyph_id(c))).sum()
    }
}
