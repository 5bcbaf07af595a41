//! Text and bars over the picture.

use image::RgbImage;

use super::{Pace, View};
use crate::overlay::{Caption, Corner};

const WHITE: [u8; 3] = [255; 3];
const SOFT: [u8; 3] = [190; 3];
const WARM: [u8; 3] = [255, 170, 60];

/// The likeliest classes with a bar each, in the upper right corner.
pub fn bars(picture: &mut RgbImage, caption: &Caption, view: &View) {
    let lines: Vec<(String, [u8; 3])> = view
        .explanation
        .top
        .iter()
        .map(|ranked| {
            let own = ranked.class_index == view.explanation.class_index;
            let name = view.facts.label(ranked.class_index);
            let name: String = name.chars().take(18).collect();
            (format!("{name:<18} {:>3.0} %", 100.0 * ranked.probability), if own { WARM } else { WHITE })
        })
        .collect();
    let Some([left, top, right, bottom]) = caption.plate(picture, &lines, Corner::UpperRight) else { return };
    let row = (bottom - top) / lines.len().max(1) as u32;
    for (number, ranked) in view.explanation.top.iter().enumerate() {
        let length = ((right - left) as f32 * ranked.probability) as u32;
        let lower = top + row * (number as u32 + 1);
        for y in lower.saturating_sub((row / 10).max(2))..lower {
            for x in left..left + length {
                if let Some(pixel) = picture.get_pixel_mut_checked(x, y) {
                    pixel.0 = WARM;
                }
            }
        }
    }
}

/// How the pipeline keeps up, in the upper left corner.
pub fn pace(picture: &mut RgbImage, caption: &Caption, view: &View, fluid: bool) {
    let Pace { age, captured, explained, dropped } = view.pace;
    let mode = if fluid { "fluid" } else { "aligned" };
    let lines = [
        format!("{}, {}", view.facts.model, view.facts.method),
        format!("{mode}, map {} ms old", age.as_millis()),
        format!("camera    {captured:5.1} fps"),
        format!("explained {explained:5.1} fps"),
        format!("{dropped} dropped"),
    ];
    caption.plate(picture, &lines.map(|line| (line, SOFT)), Corner::UpperLeft);
}

/// A line of text for the moment, or the help, in the middle.
pub fn message(picture: &mut RgbImage, caption: &Caption, lines: &[String]) {
    let lines: Vec<_> = lines.iter().map(|line| (line.clone(), WHITE)).collect();
    caption.plate(picture, &lines, Corner::Middle);
}

/// A red dot: the recording is on.
pub fn recording(picture: &mut RgbImage) {
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
