//! Boxes and labels of detections.

use image::{Rgb, RgbImage};

use super::caption::Caption;
use super::draw::PALETTE;
use crate::explain::{DetectedObject, DetectionPrediction, ExplanationContext};

const NEAR_MISS: [u8; 3] = [170; 3];

/// Draws the box and label of each detection in the colour of its class, so that no label covers another while there is room. Where one is chosen, the others are thin; a near
/// miss is thin and grey.
pub fn draw(picture: &mut RgbImage, caption: &Caption, found: &DetectionPrediction, context: &ExplanationContext) {
    let thickness = (picture.width().min(picture.height()) / 240).max(2);
    if let Some(near_miss) = &found.near_miss {
        outline(picture, near_miss, 1, NEAR_MISS);
    }
    // The best lie on top.
    for (at, object) in found.detections.iter().enumerate().rev() {
        let chosen = found.chosen.is_none_or(|chosen| chosen == at);
        let colour = PALETTE[object.class_index % PALETTE.len()];
        outline(picture, object, if chosen { thickness } else { 1 }, colour);
    }
    let mut taken = Vec::new();
    for object in &found.detections {
        let colour = PALETTE[object.class_index % PALETTE.len()];
        let number = object.number.map_or(String::new(), |number| format!("{number}  "));
        let label = context.label(object.class_index);
        let text = format!("{number}{label} {:.0} %", 100.0 * object.probability);
        let corner = [object.bounds.x.max(0.0) as u32, object.bounds.y.max(0.0) as u32];
        caption.tag_beside(picture, &text, corner, colour, &mut taken);
    }
}

/// Draws the border of a box inwards.
fn outline(picture: &mut RgbImage, object: &DetectedObject, thickness: u32, colour: [u8; 3]) {
    let (width, height) = picture.dimensions();
    let bounds = &object.bounds;
    let pixel = |at: f64, side: u32| (at.round().max(0.0) as u32).min(side);
    let (left, right) = (pixel(bounds.x, width), pixel(bounds.x + bounds.width, width));
    let (top, bottom) = (pixel(bounds.y, height), pixel(bounds.y + bounds.height, height));
    let mut fill = |columns: std::ops::Range<u32>, rows: std::ops::Range<u32>| {
        for (x, y) in rows.flat_map(|y| columns.clone().map(move |x| (x, y))) {
            picture.put_pixel(x, y, Rgb(colour));
        }
    };
    let (across, down) = (thickness.min(right - left), thickness.min(bottom - top));
    fill(left..right, top..top + down);
    fill(left..right, bottom - down..bottom);
    fill(left..left + across, top..bottom);
    fill(right - across..right, top..bottom);
}
