//! Text, bars and symbols over the picture.

use image::RgbImage;

use super::{Pace, ScreenFrame};
use crate::overlay::{Caption, Corner};

const WHITE: [u8; 3] = [255; 3];
const SOFT: [u8; 3] = [190; 3];
const WARM: [u8; 3] = [255, 170, 60];

/// Draws the most probable classes, each with a bar, in the upper right corner.
pub fn bars(picture: &mut RgbImage, caption: &Caption, view: &ScreenFrame) {
    let ranking = view.explanation.ranking(view.context);
    let lines: Vec<(String, [u8; 3])> = ranking
        .iter()
        .map(|ranked| {
            let name: String = ranked.label.chars().take(18).collect();
            let text = format!("{name:<18} {:>5}", ranked.text);
            (text, if ranked.explained { WARM } else { WHITE })
        })
        .collect();
    let Some([left, top, right, bottom]) = caption.plate(picture, &lines, Corner::UpperRight) else { return };
    let row = (bottom - top) / lines.len().max(1) as u32;
    for (index, ranked) in ranking.iter().enumerate() {
        let length = ((right - left) as f32 * ranked.share.clamp(0.0, 1.0)) as u32;
        let lower = top + row * (index as u32 + 1);
        for y in lower.saturating_sub((row / 10).max(2))..lower {
            for x in left..left + length {
                if let Some(pixel) = picture.get_pixel_mut_checked(x, y) {
                    pixel.0 = WARM;
                }
            }
        }
    }
}

/// Draws the rates of the pipeline in the upper left corner.
pub fn pace(picture: &mut RgbImage, caption: &Caption, view: &ScreenFrame) {
    let Pace { age, captured, explained, dropped } = view.pace;
    let mode = if view.switches.fluid { "fluid" } else { "aligned" };
    let lines = [
        format!("{}, {}", view.context.model, view.context.method),
        format!("{mode}, map {} ms old", age.as_millis()),
        format!("camera    {captured:5.1} fps"),
        format!("explained {explained:5.1} fps"),
        format!("{dropped} dropped"),
    ];
    caption.plate(picture, &lines.map(|line| (line, SOFT)), Corner::UpperLeft);
}

/// Draws a message or the help in the middle.
pub fn message(picture: &mut RgbImage, caption: &Caption, lines: &[String]) {
    let lines: Vec<_> = lines.iter().map(|line| (line.clone(), WHITE)).collect();
    caption.plate(picture, &lines, Corner::Middle);
}
