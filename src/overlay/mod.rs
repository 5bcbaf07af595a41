//! The picture that a person sees: the map over the frame, and the caption.

mod bar;
mod caption;
mod colormap;

use std::collections::HashMap;

use fast_image_resize::pixels::U8;
use image::RgbImage;

pub use caption::{Caption, Corner};
pub use colormap::{COLORMAPS, Colormap};

use crate::cam::{CamMap, Enlarger, Window};
use crate::error::Result;
use crate::explanation::{Explanation, Facts};
use crate::frame::Frame;
use crate::preprocess::Region;

/// How the map is laid over the frame.
#[derive(Clone, Debug)]
pub struct Style {
    pub colormap: Colormap,
    /// The map's share of the picture, 0..=1.
    pub alpha: f32,
    pub scale: HeatScale,
    /// Whether a bar says what the colours stand for.
    pub bar: bool,
}

/// What the hottest colour stands for.
#[derive(Clone, Debug, Default)]
pub enum HeatScale {
    /// The largest value of each frame's own map.
    #[default]
    Frame,
    /// The largest value of all maps of a film, by the medium's name.
    Film(HashMap<String, f32>),
    /// As much in every place as makes this much over the whole map, whatever its grid. For maps in
    /// logits: a share of the score.
    Whole(f32),
}

impl HeatScale {
    /// Logits over the whole map at the hottest colour.
    pub const LOGITS: f32 = 20.0;

    fn top(&self, medium: &str, map: &CamMap) -> f32 {
        let top = match self {
            Self::Frame => map.max,
            Self::Film(tops) => tops.get(medium).copied().unwrap_or(map.max),
            Self::Whole(sum) => sum / map.values.len() as f32,
        };
        if top > 0.0 { top } else { 1.0 }
    }
}

impl Style {
    pub const DEFAULT_ALPHA: f32 = 0.4;
}

/// Draws explanations; its buffers are used again for each.
pub struct Overlay {
    style: Style,
    enlarger: Enlarger<U8>,
    /// A row of the map's colours, times their share of the picture.
    heat: Vec<[u16; 3]>,
    caption: Caption,
}

impl Overlay {
    /// # Errors
    /// The embedded font is damaged.
    pub fn new(style: Style) -> Result<Self> {
        Ok(Self { style, enlarger: Enlarger::default(), heat: Vec::new(), caption: Caption::new()? })
    }

    /// Draws the map and the caption onto the frame that they explain. Of several classes each has
    /// its own colour, in which the caption names it.
    ///
    /// # Errors
    /// The frame is empty.
    pub fn draw(&mut self, frame: &mut Frame, explanation: &Explanation, facts: &Facts) -> Result<()> {
        let (medium, frame) = (&frame.medium.name, &mut frame.picture);
        let Explanation { map, others, .. } = explanation;
        let region = &OnFrame { cells: explanation.region, seen: explanation.seen };
        if others.is_empty() {
            if map.evidence {
                let top = self.style.scale.top(medium, map);
                self.lay_over(frame, map, top, region)?;
            }
        } else {
            let maps: Vec<&CamMap> = std::iter::once(map).chain(others.iter().map(|other| &other.map)).collect();
            let tops: Vec<f32> = maps.iter().map(|map| self.style.scale.top(medium, map)).collect();
            self.lay_over_several(frame, &maps, &tops, region)?;
        }
        let line = |class: usize, probability: f32, map: &CamMap| {
            let evidence = if map.evidence { "" } else { "  no evidence" };
            let against = facts.against.map_or(String::new(), |other| format!(" against {}", facts.label(other)));
            format!("{}{against} {:.0} %{evidence}", facts.label(class), 100.0 * probability)
        };
        let first = if explanation.is_sure() {
            line(explanation.class_index, explanation.probability, map)
        } else {
            "not sure".into()
        };
        let mut lines = vec![(first, if others.is_empty() { WHITE } else { PALETTE[0] })];
        lines.extend(
            others
                .iter()
                .zip(PALETTE.iter().cycle().skip(1))
                .map(|(other, colour)| (line(other.class_index, other.probability, &other.map), *colour)),
        );
        self.caption.draw(frame, &lines);
        if self.style.bar && others.is_empty() {
            bar::draw(frame, &self.caption, &self.style.colormap, self.style.scale.top(medium, map), facts.unit);
        }
        Ok(())
    }

    /// The map in its colours on black, as large as the frame.
    ///
    /// # Errors
    /// The frame is empty.
    pub fn map_alone(&mut self, frame: &Frame, explanation: &Explanation) -> Result<RgbImage> {
        let (width, height) = frame.picture.dimensions();
        let mut picture = RgbImage::new(width, height);
        if explanation.map.evidence {
            let top = self.style.scale.top(&frame.medium.name, &explanation.map);
            let place = OnFrame { cells: explanation.region, seen: explanation.seen };
            let alpha = std::mem::replace(&mut self.style.alpha, 1.0);
            let drawn = self.lay_over(&mut picture, &explanation.map, top, &place);
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

    /// Takes the next colour map of [`COLORMAPS`] and returns its name.
    ///
    /// # Errors
    /// There is none.
    pub fn next_colormap(&mut self) -> Result<&'static str> {
        let at = COLORMAPS.iter().position(|(name, _)| *name == self.style.colormap.name()).unwrap_or(0);
        let (name, _) = COLORMAPS[(at + 1) % COLORMAPS.len()];
        self.style.colormap = Colormap::named(name)?;
        Ok(name)
    }

    fn lay_over(&mut self, frame: &mut RgbImage, map: &CamMap, top: f32, region: &OnFrame) -> Result<()> {
        let share = alpha_share(self.style.alpha);
        let step = map.max / top;
        let colours: [[u16; 3]; 256] = std::array::from_fn(|level| {
            let colour = self.style.colormap.at((level as f32 * step).round() as u8);
            colour.map(|channel| u16::from(channel) * share)
        });
        let (part, window) = place_on(frame, map, region);
        let levels = self.enlarger.levels(map, &window)?;
        for (pixels, levels) in rows_of(frame, part).zip(levels.chunks_exact(window.width)) {
            // Looked up first and blended then, since the processor blends many channels at once.
            self.heat.clear();
            self.heat.extend(levels.iter().map(|level| colours[usize::from(level.0)]));
            for (channel, over) in pixels.as_flattened_mut().iter_mut().zip(self.heat.as_flattened()) {
                *channel = blended(*channel, *over, share);
            }
        }
        Ok(())
    }

    /// Each map in a colour of its own, as strong as it is warm.
    fn lay_over_several(
        &mut self,
        frame: &mut RgbImage,
        maps: &[&CamMap],
        tops: &[f32],
        region: &OnFrame,
    ) -> Result<()> {
        let Some(first) = maps.first() else { return Ok(()) };
        let (part, window) = place_on(frame, first, region);
        let mut heats = Vec::with_capacity(maps.len());
        for ((map, top), colour) in maps.iter().zip(tops).zip(PALETTE.iter().cycle()) {
            if map.evidence {
                heats.push((self.enlarger.levels(map, &window)?.to_vec(), map.max / (255.0 * top), *colour));
            }
        }
        let mut strengths: Vec<_> =
            heats.iter().map(|(levels, step, colour)| (levels.iter(), *step, *colour)).collect();
        for pixel in rows_of(frame, part).flatten() {
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

/// The part of the frame that the model saw: left, top, right and bottom in pixels, and as a window of the map.
fn place_on(frame: &RgbImage, map: &CamMap, place: &OnFrame) -> ([u32; 4], Window) {
    let (width, height) = frame.dimensions();
    let OnFrame { cells, seen } = place;
    let left = seen.x.max(0.0).round() as u32;
    let top = seen.y.max(0.0).round() as u32;
    let right = ((seen.x + seen.width).round() as u32).clamp(left + 1, width);
    let bottom = ((seen.y + seen.height).round() as u32).clamp(top + 1, height);
    let [x, y, width, height] = [left, top, right - left, bottom - top].map(f64::from);
    let [from, over] = cells.in_cells(&Region { x, y, width, height }, map.values.dim());
    let (height, width) = ((bottom - top) as usize, (right - left) as usize);
    ([left, top, right, bottom], Window { from, over, height, width })
}

/// Where a map and what the model saw lie on the frame.
struct OnFrame {
    cells: Region,
    seen: Region,
}

const WHITE: [u8; 3] = [255; 3];

/// Colours that most people can tell apart, whatever their eyes (Okabe and Ito, *Color Universal Design*, 2008).
const PALETTE: &[[u8; 3]] =
    &[[213, 94, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [204, 121, 167], [0, 114, 178], [230, 159, 0]];

/// The pixels of a part of the frame, row by row.
fn rows_of(frame: &mut RgbImage, [left, top, right, bottom]: [u32; 4]) -> impl Iterator<Item = &mut [[u8; 3]]> {
    let row = frame.width() as usize * 3;
    let rows = frame.as_mut()[top as usize * row..bottom as usize * row].chunks_exact_mut(row);
    rows.map(move |row| row[left as usize * 3..right as usize * 3].as_chunks_mut::<3>().0)
}

fn blend(pixel: &mut [u8; 3], colour: [u8; 3], alpha: f32) {
    let share = alpha_share(alpha);
    for (channel, over) in pixel.iter_mut().zip(colour) {
        *channel = blended(*channel, u16::from(over) * share, share);
    }
}

/// A channel under `over`, which has been multiplied by its share.
fn blended(channel: u8, over: u16, share: u16) -> u8 {
    ((u16::from(channel) * (256 - share) + over) >> 8) as u8
}

/// 0..=1 as parts of 256.
fn alpha_share(alpha: f32) -> u16 {
    (alpha.clamp(0.0, 1.0) * 256.0) as u16
}
