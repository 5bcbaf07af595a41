//! Drawing maps and captions onto a frame.

use fast_image_resize::pixels::U8;
use image::RgbImage;

use super::caption::Caption;
use super::colormap::{COLORMAPS, Colormap};
use super::heat::{Heat, Line, blended, contours, share_of};
use super::style::{Blend, Style};
use super::{bar, detections, segments};
use crate::cam::{CamMap, Enlarger, MapCrop};
use crate::error::Result;
use crate::explain::{Explanation, ExplanationContext};
use crate::media::Frame;
use crate::model::Region;

const WHITE: [u8; 3] = [255; 3];

/// Colours that are easy to tell apart, also with colour blindness (Okabe and Ito, *Color Universal Design*, 2008).
pub const PALETTE: &[[u8; 3]] =
    &[[213, 94, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [204, 121, 167], [0, 114, 178], [230, 159, 0]];

/// Draws explanations, reusing its buffers.
pub struct Overlay {
    style: Style,
    enlarger: Enlarger<U8>,
    heat: Heat,
    caption: Caption,
}

/// The regions of the frame that the map covers and that the model saw, in pixels.
struct OnFrame {
    cells: Region,
    seen: Region,
}

/// A part of the frame, `[left, top, right, bottom]` in pixels.
type Bounds = [u32; 4];

impl Overlay {
    /// # Errors
    /// The embedded font is damaged.
    pub fn new(style: Style) -> Result<Self> {
        Ok(Self { style, enlarger: Enlarger::default(), heat: Heat::default(), caption: Caption::new()? })
    }

    /// Draws the maps and the captions onto the frame that they explain. A single map has the colours of the colour
    /// map; each of several maps has one colour, which is also that of its caption.
    ///
    /// # Errors
    /// The frame is empty.
    pub fn draw(&mut self, frame: &mut Frame, explanation: &Explanation, context: &ExplanationContext) -> Result<()> {
        let (medium, picture) = (&frame.medium.name, &mut frame.picture);
        // The maps of single detections or segments would hide each other, and a signed map has two colours of its own: the
        // first is drawn.
        let listed = explanation.detections().is_some() || explanation.segments().is_some() || explanation.map.signed;
        let maps: Vec<&CamMap> = explanation.maps().take(if listed { 1 } else { usize::MAX }).collect();
        let tops: Vec<f32> = maps.iter().map(|map| self.style.scale.top(medium, map)).collect();
        let region = OnFrame::of(explanation);
        let captions = explanation.captions(context).into_iter();
        if let ([map], [top]) = (maps.as_slice(), tops.as_slice()) {
            self.lay_over_one(picture, map, *top, &region)?;
            if let Some(found) = explanation.segments() {
                segments::draw(picture, &self.caption, found, &region.seen, context)?;
            }
            if let Some(found) = explanation.detections() {
                detections::draw(picture, &self.caption, found, context);
            }
            self.caption.draw(picture, &captions.map(|line| (line, WHITE)).collect::<Vec<_>>());
            if self.style.bar {
                bar::draw(picture, &self.caption, &self.style.colormap, map.signed, *top, context.unit);
            }
        } else {
            self.lay_over_several(picture, &maps, &tops, &region)?;
            self.caption.draw(picture, &captions.zip(PALETTE.iter().copied().cycle()).collect::<Vec<_>>());
        }
        Ok(())
    }

    /// The first map in its colours on black, as large as the frame.
    ///
    /// # Errors
    /// The frame is empty.
    pub fn map_alone(&mut self, frame: &Frame, explanation: &Explanation) -> Result<RgbImage> {
        let (width, height) = frame.picture.dimensions();
        let mut picture = RgbImage::new(width, height);
        if explanation.map.evidence {
            let top = self.style.scale.top(&frame.medium.name, &explanation.map);
            let usual = (self.style.blend, self.style.alpha);
            (self.style.blend, self.style.alpha) = (Blend::Even, 1.0);
            let drawn = self.lay_over_one(&mut picture, &explanation.map, top, &OnFrame::of(explanation));
            (self.style.blend, self.style.alpha) = usual;
            drawn?;
        }
        Ok(picture)
    }

    /// Changes how the map lies over the picture, with the opacity that suits it.
    pub fn set_blend(&mut self, blend: Blend) {
        (self.style.blend, self.style.alpha) = (blend, blend.usual_alpha());
    }

    /// Changes to the next blend of [`Blend::ALL`] and returns its name.
    pub fn next_blend(&mut self) -> &'static str {
        let current = Blend::ALL.iter().position(|(_, blend)| *blend == self.style.blend).unwrap_or(0);
        let (name, blend) = Blend::ALL[(current + 1) % Blend::ALL.len()];
        self.set_blend(blend);
        name
    }

    /// Sets the map's opacity, within 0..=1.
    pub fn set_alpha(&mut self, alpha: f32) {
        self.style.alpha = alpha.clamp(0.0, 1.0);
    }

    /// Changes to the colour map of this name.
    ///
    /// # Errors
    /// There is no such colour map.
    pub fn set_colormap(&mut self, name: &str) -> Result<()> {
        self.style.colormap = Colormap::named(name)?;
        Ok(())
    }

    pub fn set_style(&mut self, style: Style) {
        self.style = style;
    }

    pub fn style(&self) -> &Style {
        &self.style
    }

    /// Changes to the next colour map of [`COLORMAPS`] and returns its name.
    ///
    /// # Errors
    /// There is no such colour map.
    pub fn next_colormap(&mut self) -> Result<&'static str> {
        let current = COLORMAPS.iter().position(|(name, _)| *name == self.style.colormap.name()).unwrap_or(0);
        let (name, _) = COLORMAPS[(current + 1) % COLORMAPS.len()];
        self.style.colormap = Colormap::named(name)?;
        Ok(name)
    }

    /// Draws a map without others: in the colours of the colour map, or where it is signed in a colour for each side.
    fn lay_over_one(&mut self, picture: &mut RgbImage, map: &CamMap, top: f32, region: &OnFrame) -> Result<()> {
        match map.sides() {
            Some([up, down]) => self.lay_over_several(picture, &[&up, &down], &[top, top], region),
            None if map.evidence => self.lay_over(picture, map, top, region),
            None => Ok(()),
        }
    }

    fn lay_over(&mut self, picture: &mut RgbImage, map: &CamMap, top: f32, region: &OnFrame) -> Result<()> {
        let step = map.max / top;
        let Style { colormap, blend, alpha, .. } = &self.style;
        self.heat.prepare(colormap, *blend, *alpha, step);
        let (bounds, crop) = locate(picture, map, region);
        let levels = self.enlarger.levels(map, &crop)?;
        for (pixels, levels) in rows_of(picture, bounds).zip(levels.chunks_exact(crop.width)) {
            self.heat.lay_over(pixels, levels);
        }
        if *blend == Blend::Contour {
            let thick = i64::from((picture.width().min(picture.height()) / 200).max(1));
            let [left, upper, ..] = bounds.map(i64::from);
            contours(levels, crop.width, step, colormap, |[x, y], line, colour| {
                let margin = if line == Line::Dark { thick.div_euclid(2).max(1) } else { 0 };
                for (dx, dy) in
                    (-margin..thick + margin).flat_map(|dy| (-margin..thick + margin).map(move |dx| (dx, dy)))
                {
                    let (x, y) = (left + x as i64 + dx, upper + y as i64 + dy);
                    if let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y))
                        && let Some(pixel) = picture.get_pixel_mut_checked(x, y)
                    {
                        pixel.0 = colour;
                    }
                }
            });
        }
        Ok(())
    }

    /// Draws each map in one colour of the palette, with an opacity that follows its heat.
    fn lay_over_several(
        &mut self,
        picture: &mut RgbImage,
        maps: &[&CamMap],
        tops: &[f32],
        region: &OnFrame,
    ) -> Result<()> {
        let Some(first) = maps.first() else { return Ok(()) };
        let (bounds, crop) = locate(picture, first, region);
        let mut heats = Vec::with_capacity(maps.len());
        for ((map, top), colour) in maps.iter().zip(tops).zip(PALETTE.iter().cycle()) {
            if map.evidence {
                heats.push((self.enlarger.levels(map, &crop)?.to_vec(), map.max / (255.0 * top), *colour));
            }
        }
        let mut strengths: Vec<_> =
            heats.iter().map(|(levels, step, colour)| (levels.iter(), *step, *colour)).collect();
        for pixel in rows_of(picture, bounds).flatten() {
            let (mut sum, mut strongest, mut mixed) = (0.0, 0.0_f32, [0.0; 3]);
            for (levels, step, colour) in &mut strengths {
                let strength = levels.next().map_or(0.0, |level| (f32::from(level.0) * *step).min(1.0));
                sum += strength;
                strongest = strongest.max(strength);
                for (channel, over) in mixed.iter_mut().zip(*colour) {
                    *channel += strength * f32::from(over);
                }
            }
            if sum > 0.0 {
                blend(pixel, mixed.map(|channel| (channel / sum) as u8), strongest * self.style.alpha.max(0.6));
            }
        }
        Ok(())
    }
}

impl OnFrame {
    fn of(explanation: &Explanation) -> Self {
        Self { cells: explanation.region, seen: explanation.seen }
    }
}

fn locate(picture: &RgbImage, map: &CamMap, region: &OnFrame) -> (Bounds, MapCrop) {
    part_of_map(picture.dimensions(), map.values.dim(), &region.cells, &region.seen)
}

/// The part of the frame that the model saw, and the same part of a map whose cells cover the region `cells`.
pub fn part_of_map(
    (width, height): (u32, u32),
    map: (usize, usize),
    cells: &Region,
    seen: &Region,
) -> (Bounds, MapCrop) {
    let ([left, top, right, bottom], part) = seen.pixels((width, height));
    let [from, over] = cells.in_cells(&part, map);
    let (height, width) = ((bottom - top) as usize, (right - left) as usize);
    ([left, top, right, bottom], MapCrop { from, over, height, width })
}

/// The pixels of a part of the picture, row by row.
fn rows_of(picture: &mut RgbImage, [left, top, right, bottom]: Bounds) -> impl Iterator<Item = &mut [[u8; 3]]> {
    let row = picture.width() as usize * 3;
    let rows = picture.as_mut()[top as usize * row..bottom as usize * row].chunks_exact_mut(row);
    rows.map(move |row| row[left as usize * 3..right as usize * 3].as_chunks_mut::<3>().0)
}

fn blend(pixel: &mut [u8; 3], colour: [u8; 3], opacity: f32) {
    let share = share_of(opacity);
    for (channel, over) in pixel.iter_mut().zip(colour) {
        *channel = blended(*channel, u16::from(over) * share, 256 - share);
    }
}
