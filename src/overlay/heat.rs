//! Laying one map over a picture: evenly, by its evidence, or as contours.

use fast_image_resize::pixels::U8;

use super::colormap::Colormap;
use super::style::Blend;

/// Where contours lie, as shares of the hottest colour.
const CONTOURS: [f32; 3] = [0.25, 0.5, 0.75];

/// What each level 0..=255 of a map does to a pixel.
pub struct Heat {
    /// Its colour, multiplied by its share.
    over: [[u16; 3]; 256],
    /// What is kept of the pixel, in parts of 256.
    kept: [u16; 256],
    /// The same, where all levels keep as much.
    evenly_kept: Option<u16>,
    /// One row of both, so that the loop that blends can be vectorised.
    row: Vec<[u16; 3]>,
    row_kept: Vec<[u16; 3]>,
}

impl Default for Heat {
    fn default() -> Self {
        Self { over: [[0; 3]; 256], kept: [256; 256], evenly_kept: None, row: Vec::new(), row_kept: Vec::new() }
    }
}

impl Heat {
    /// Prepares the levels of a map. The highest has the colour at `step * 255` of the colour map; `alpha` is the opacity
    /// of the map, or where it follows the evidence that of the hottest colour.
    pub fn prepare(&mut self, colormap: &Colormap, blend: Blend, alpha: f32, step: f32) {
        for (level, (over, kept)) in self.over.iter_mut().zip(&mut self.kept).enumerate() {
            let heat = (level as f32 * step).round().min(255.0) as u8;
            let opacity = match blend {
                Blend::Even => alpha,
                Blend::Evidence | Blend::Contour => alpha * opacity_of(f32::from(heat) / 255.0),
            };
            let share = share_of(opacity);
            *over = colormap.at(heat).map(|channel| u16::from(channel) * share);
            *kept = 256 - share;
        }
        self.evenly_kept = (blend == Blend::Even).then_some(self.kept[0]);
    }

    /// Blends a row of levels over a row of pixels.
    pub fn lay_over(&mut self, pixels: &mut [[u8; 3]], levels: &[U8]) {
        self.row.clear();
        self.row.extend(levels.iter().map(|level| self.over[usize::from(level.0)]));
        let channels = pixels.as_flattened_mut().iter_mut();
        if let Some(kept) = self.evenly_kept {
            // In half the time.
            channels.zip(self.row.as_flattened()).for_each(|(channel, over)| *channel = blended(*channel, *over, kept));
            return;
        }
        self.row_kept.clear();
        self.row_kept.extend(levels.iter().map(|level| [self.kept[usize::from(level.0)]; 3]));
        for ((channel, over), kept) in channels.zip(self.row.as_flattened()).zip(self.row_kept.as_flattened()) {
            *channel = blended(*channel, *over, *kept);
        }
    }
}

/// The opacity of a heat 0..=1 where it follows the evidence, 0..=1. It rises smoothly from nothing, so that weak evidence
/// leaves the picture as it is.
fn opacity_of(heat: f32) -> f32 {
    const NOTHING: f32 = 0.12;
    const FULL: f32 = 0.7;
    let t = ((heat - NOTHING) / (FULL - NOTHING)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// A channel under `over`, which is already multiplied by its share. `kept` is what is kept of it, in parts of 256.
pub fn blended(channel: u8, over: u16, kept: u16) -> u8 {
    ((u16::from(channel) * kept + over) >> 8) as u8
}

/// An opacity of 0..=1 in parts of 256.
pub fn share_of(opacity: f32) -> u16 {
    (opacity.clamp(0.0, 1.0) * 256.0) as u16
}

/// Draws contours: at each level a line of its colour, on a dark one that tells it from any picture. `dot` draws a square of
/// a side in a colour at `[x, y]` within the map's part of the picture.
pub fn contours(
    levels: &[U8],
    width: usize,
    step: f32,
    colormap: &Colormap,
    mut dot: impl FnMut([usize; 2], Line, [u8; 3]),
) {
    for (line, share) in CONTOURS.iter().flat_map(|share| [(Line::Dark, share), (Line::Bright, share)]) {
        let threshold = share * 255.0 / step;
        let inside = |level: &U8| f32::from(level.0) >= threshold;
        let colour = if line == Line::Dark { [0; 3] } else { colormap.at((127.0 + share * 128.0) as u8) };
        for (y, row) in levels.chunks_exact(width).enumerate() {
            let below = levels.get((y + 1) * width..(y + 2) * width).unwrap_or(row);
            for x in 0..width {
                let right = row.get(x + 1).unwrap_or(&row[x]);
                if inside(&row[x]) != inside(right) || inside(&row[x]) != inside(&below[x]) {
                    dot([x, y], line, colour);
                }
            }
        }
    }
}

/// The two lines of a contour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// The wide one, below.
    Dark,
    /// The narrow one, above.
    Bright,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid_over(blend: Blend, level: u8) -> [u8; 3] {
        let colormap = Colormap::named("inferno").unwrap_or_else(|e| panic!("{e}"));
        let mut heat = Heat::default();
        heat.prepare(&colormap, blend, 0.5, 1.0);
        let mut pixels = [[100; 3]; 9];
        heat.lay_over(&mut pixels, &[U8::new(level); 9]);
        pixels[8]
    }

    #[test]
    fn without_evidence_the_picture_stays_as_it_is_where_opacity_follows_the_evidence() {
        assert_eq!(laid_over(Blend::Evidence, 0), [100; 3]);
        assert_eq!(laid_over(Blend::Even, 0), [50, 50, 52]);
        assert_eq!(laid_over(Blend::Evidence, 255), laid_over(Blend::Even, 255));
    }

    #[test]
    fn contours_surround_the_evidence() {
        let colormap = Colormap::named("inferno").unwrap_or_else(|e| panic!("{e}"));
        let mut levels = [U8::new(0); 25];
        levels[12] = U8::new(255);
        let mut dots = Vec::new();
        contours(&levels, 5, 1.0, &colormap, |at, _, _| dots.push(at));
        dots.sort_unstable();
        dots.dedup();
        assert_eq!(dots, [[1, 2], [2, 1], [2, 2]]);
    }
}
