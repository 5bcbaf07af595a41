//! Drawing maps and captions onto a frame.

use fast_image_resize::pixels::U8;
use image::RgbImage;

use super::caption::Caption;
use super::colormap::{COLORMAPS, Colormap};
use super::style::Style;
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
    /// One row of the map's colours, multiplied by their share of the picture.
    heat: Vec<[u16; 3]>,
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
        Ok(Self { style, enlarger: Enlarger::default(), heat: Vec::new(), caption: Caption::new()? })
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
            let alpha = std::mem::replace(&mut self.style.alpha, 1.0);
            let drawn = self.lay_over_one(&mut picture, &explanation.map, top, &OnFrame::of(explanation));
            self.style.alpha = alpha;
            drawn?;
        }
        Ok(picture)
    }

    /// Changes the map's share of the picture, within 0..=1, and returns it.
    pub fn change_alpha(&mut self, by: f32) -> f32 {
        self.style.alpha = (self.style.alpha + by).clamp(0.0, 1.0);
        self.style.alpha
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
        let share = alpha_share(self.style.alpha);
        let step = map.max / top;
        let colours: [[u16; 3]; 256] = std::array::from_fn(|level| {
            let colour = self.style.colormap.at((level as f32 * step).round() as u8);
            colour.map(|channel| u16::from(channel) * share)
        });
        let (bounds, crop) = locate(picture, map, region);
        let levels = self.enlarger.levels(map, &crop)?;
        for (pixels, levels) in rows_of(picture, bounds).zip(levels.chunks_exact(crop.width)) {
            // A separate loop for the look-up lets the compiler vectorise the blending.
            self.heat.clear();
            self.heat.extend(levels.iter().map(|level| colours[usize::from(level.0)]));
            for (channel, over) in pixels.as_flattened_mut().iter_mut().zip(self.heat.as_flattened()) {
                *channel = blended(*channel, *over, share);
            }
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
    let left = seen.x.max(0.0).round() as u32;
    let top = seen.y.max(0.0).round() as u32;
    let right = ((seen.x + seen.width).round() as u32).clamp(left + 1, width);
    let bottom = ((seen.y + seen.height).round() as u32).clamp(top + 1, height);
    let [x, y, width, height] = [left, top, right - left, bottom - top].map(f64::from);
    let [from, over] = cells.in_cells(&Region { x, y, width, height }, map);
    let (height, width) = ((bottom - top) as usize, (right - left) as usize);
    ([left, top, right, bottom], MapCrop { from, over, height, width })
}

/// The pixels of a part of the picture, row by row.
fn rows_of(picture: &mut RgbImage, [left, top, right, bottom]: Bounds) -> impl Iterator<Item = &mut [[u8; 3]]> {
    let row = picture.width() as usize * 3;
    let rows = picture.as_mut()[top as usize * row..bottom as usize * row].chunks_exact_mut(row);
    rows.map(move |row| row[left as usize * 3..right as usize * 3].as_chunks_mut::<3>().0)
}

fn blend(pixel: &mut [u8; 3], colour: [u8; 3], alpha: f32) {
    let share = alpha_share(alpha);
    for (channel, over) in pixel.iter_mut().zip(colour) {
        *channel = blended(*channel, u16::from(over) * share, share);
    }
}

/// A channel under `over`, which is already multiplied by its share.
fn blended(channel: u8, over: u16, share: u16) -> u8 {
    ((u16::from(channel) * (256 - share) + over) >> 8) as u8
}

/// An alpha of 0..=1 in parts of 256.
fn alpha_share(alpha: f32) -> u16 {
    (alpha.clamp(0.0, 1.0) * 256.0) as u16
}
