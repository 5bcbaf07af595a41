//! The classes that are taught, in a column at the left of the picture.

use image::{RgbImage, imageops};

use super::{TaughtClass, TeachingView};
use crate::overlay::Caption;

const WARM: [u8; 3] = [255, 170, 60];
const DARK: [u8; 3] = [40; 3];
const BAD: [u8; 3] = [213, 94, 0];
/// The height of a class's thumbnail, as a share of the picture's height. Nine of them leave room for the caption.
const SHARE: u32 = 11;
/// Two lines of text, in pixels.
const LEAST: u32 = 36;

/// Draws each class with its number, its newest picture and the number of its pictures.
pub fn draw(picture: &mut RgbImage, caption: &Caption, teaching: &TeachingView) {
    let height = (picture.height() / SHARE).max(LEAST);
    let gap = (height / 12).max(2);
    for (number, class) in teaching.classes.iter().enumerate() {
        let top = gap + number as u32 * (height + gap);
        let is_held = teaching.held == Some(number);
        let right = thumbnail(picture, class, [gap, top], height, is_held);
        let colour = if is_held { WARM } else { DARK };
        // A tag lies above its corner.
        caption.tag(picture, &title(number, class), [right + gap, top + height / 2], colour);
        if let Some((text, bad)) = evidence(class).filter(|_| teaching.evidence) {
            caption.tag(picture, &text, [right + gap, top + height], if bad { BAD } else { DARK });
        }
    }
}

fn title(number: usize, class: &TaughtClass) -> String {
    format!("{} {}: {}", number + 1, class.name, class.pictures)
}

/// Where the evidence of a class lies, and whether that is bad.
fn evidence(class: &TaughtClass) -> Option<(String, bool)> {
    let share = class.in_middle.map(|share| format!("{:.0} % in the middle", 100.0 * share));
    match (class.by_background, share) {
        (Some(true), Some(share)) => Some((format!("by its background, {share}"), true)),
        (Some(true), None) => Some(("by its background".into(), true)),
        (_, share) => Some((share?, false)),
    }
}

/// Draws a thumbnail in this height and returns where it ends.
fn thumbnail(picture: &mut RgbImage, class: &TaughtClass, [left, top]: [u32; 2], height: u32, is_held: bool) -> u32 {
    let empty = RgbImage::from_pixel(4, 3, image::Rgb(DARK));
    let small = class.thumbnail.as_ref().unwrap_or(&empty);
    let width = (height * small.width() / small.height().max(1)).clamp(1, 2 * height);
    let small = imageops::thumbnail(small, width, height);
    if is_held {
        let frame = RgbImage::from_pixel(width + 6, height + 6, image::Rgb(WARM));
        imageops::replace(picture, &frame, i64::from(left) - 3, i64::from(top) - 3);
    }
    imageops::replace(picture, &small, i64::from(left), i64::from(top));
    left + width
}
