//! The picture that a person sees: the map over the frame, and the caption.

mod bar;
mod caption;
mod colormap;

use std::collections::HashMap;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeError, ResizeOptions, Resizer};
use image::RgbImage;

pub use caption::Caption;
pub use colormap::{COLORMAPS, Colormap};

use crate::cam::CamMap;
use crate::error::{Error, Result};
use crate::explainer::{Explanation, Facts};
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
    resizer: Resizer,
    caption: Caption,
}

impl Overlay {
    /// # Errors
    /// The embedded font is damaged.
    pub fn new(style: Style) -> Result<Self> {
        Ok(Self { style, resizer: Resizer::new(), caption: Caption::new()? })
    }

    /// Draws the map and the caption onto the frame that they explain. Of several classes each has
    /// its own colour, in which the caption names it.
    ///
    /// # Errors
    /// The frame is empty.
    pub fn draw(&mut self, frame: &mut Frame, explanation: &Explanation, facts: &Facts) -> Result<()> {
        let (medium, frame) = (&frame.medium.name, &mut frame.picture);
        let Explanation { map, others, region, .. } = explanation;
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

    fn lay_over(&mut self, frame: &mut RgbImage, map: &CamMap, top: f32, region: &Region) -> Result<()> {
        let (heat, part) = self.heat(frame, map, region)?;
        let highest = 255.0 / top;
        let alpha = self.style.alpha;
        for (pixel, value) in pixels_of(frame, part).zip(values(&heat)) {
            blend(pixel, self.style.colormap.at((value * highest) as u8), alpha);
        }
        Ok(())
    }

    /// Each map in a colour of its own, as strong as it is warm.
    fn lay_over_several(
        &mut self,
        frame: &mut RgbImage,
        maps: &[&CamMap],
        tops: &[f32],
        region: &Region,
    ) -> Result<()> {
        let mut heats = Vec::with_capacity(maps.len());
        for ((map, top), colour) in maps.iter().zip(tops).zip(PALETTE.iter().cycle()) {
            if map.evidence {
                heats.push((self.heat(frame, map, region)?, *top, *colour));
            }
        }
        let Some(((_, part), _, _)) = heats.first() else { return Ok(()) };
        let part = *part;
        let mut strengths: Vec<_> =
            heats.iter().map(|((heat, _), max, colour)| (values(heat), *max, *colour)).collect();
        for pixel in pixels_of(frame, part) {
            let (mut sum, mut strongest, mut mixed) = (0.0, 0.0_f32, [0.0; 3]);
            for (values, max, colour) in &mut strengths {
                let strength = (values.next().unwrap_or(0.0) / *max).min(1.0);
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

    fn heat(&mut self, frame: &RgbImage, map: &CamMap, region: &Region) -> Result<(Image<'static>, [u32; 4])> {
        let (width, height) = frame.dimensions();
        let failed = |e: &dyn std::fmt::Display| {
            Error::input("picture", format!("cannot lay the map over {width}x{height}: {e}"))
        };
        let (h, w) = map.values.dim();
        let bytes: Vec<u8> = map.values.iter().flat_map(|v| v.to_ne_bytes()).collect();
        let map_picture = ImageRef::new(w as u32, h as u32, &bytes, PixelType::F32).map_err(|e| failed(&e))?;
        upscale(&mut self.resizer, &map_picture, region, width, height).map_err(|e| failed(&e))
    }
}

const WHITE: [u8; 3] = [255; 3];

/// Colours that most people can tell apart, whatever their eyes (Okabe and Ito, *Color Universal Design*, 2008).
const PALETTE: &[[u8; 3]] =
    &[[213, 94, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [204, 121, 167], [0, 114, 178], [230, 159, 0]];

fn values(heat: &Image) -> impl Iterator<Item = f32> {
    heat.buffer().as_chunks().0.iter().map(|value| f32::from_ne_bytes(*value))
}

/// The pixels of a part of the frame, row by row.
fn pixels_of(frame: &mut RgbImage, [left, top, right, bottom]: [u32; 4]) -> impl Iterator<Item = &mut [u8; 3]> {
    let row = frame.width() as usize * 3;
    let rows = frame.as_mut()[top as usize * row..bottom as usize * row].chunks_exact_mut(row);
    rows.flat_map(move |row| row[left as usize * 3..right as usize * 3].as_chunks_mut::<3>().0)
}

fn blend(pixel: &mut [u8; 3], colour: [u8; 3], alpha: f32) {
    let alpha = (alpha * 256.0) as u32;
    for (channel, over) in pixel.iter_mut().zip(colour) {
        *channel = ((u32::from(*channel) * (256 - alpha) + u32::from(over) * alpha) >> 8) as u8;
    }
}

/// The map at the frame's resolution, bilinear, for the part of the frame that the model saw:
/// values and the part's left, top, right and bottom in pixels.
fn upscale(
    resizer: &mut Resizer,
    map: &ImageRef,
    region: &Region,
    width: u32,
    height: u32,
) -> Result<(Image<'static>, [u32; 4]), ResizeError> {
    let (w, h) = (f64::from(map.width()), f64::from(map.height()));
    let [x, y, share_width, share_height] = region.filled(width, height);
    let left = region.x.max(0.0).round() as u32;
    let top = region.y.max(0.0).round() as u32;
    let right = ((region.x + region.width).round() as u32).clamp(left + 1, width);
    let bottom = ((region.y + region.height).round() as u32).clamp(top + 1, height);
    let mut heat = Image::new(right - left, bottom - top, PixelType::F32);
    let bilinear = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    resizer.resize(map, &mut heat, &bilinear.crop(x * w, y * h, share_width * w, share_height * h))?;
    Ok((heat, [left, top, right, bottom]))
}
