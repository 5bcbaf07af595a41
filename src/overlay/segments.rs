//! Contours and labels of segments.

use image::{Rgb, RgbImage};
use ndarray::Array2;

use super::caption::Caption;
use super::draw::{PALETTE, part_of_map};
use crate::cam::crop_map;
use crate::error::Result;
use crate::explain::{ExplanationContext, SegmentPrediction};
use crate::model::Region;

/// A smaller segment gets no label.
const LEAST_LABELLED: f32 = 0.01;
/// More contours than a picture can show.
const MOST: usize = 8;

/// Draws the contour of each segment in the colour of its class, with its label; that of the explained one is thick. `seen`
/// is the part of the frame that the model saw.
///
/// # Errors
/// The frame is empty.
pub fn draw(
    picture: &mut RgbImage,
    caption: &Caption,
    found: &SegmentPrediction,
    seen: &Region,
    context: &ExplanationContext,
) -> Result<()> {
    let thick = (picture.width().min(picture.height()) / 200).max(2);
    let mut segments: Vec<_> =
        found.segments.iter().enumerate().filter(|(at, _)| *at < MOST || *at == found.explained).collect();
    // The explained one lies on top.
    segments.sort_by_key(|(at, _)| *at == found.explained);
    let mut labels = Vec::new();
    for (at, segment) in segments {
        let colour = PALETTE[segment.class_index % PALETTE.len()];
        let (bounds, crop) = part_of_map(picture.dimensions(), segment.margin.dim(), seen, seen);
        let margin = crop_map(segment.margin.view(), &crop)?;
        let corner = [bounds[0], bounds[1]];
        contour(picture, &margin, corner, if at == found.explained { thick } else { 1 }, colour);
        let first = margin.indexed_iter().find(|(_, margin)| **margin > 0.0).map(|((y, x), _)| [x as u32, y as u32]);
        if let Some([x, y]) = first.filter(|_| segment.share >= LEAST_LABELLED || at == found.explained) {
            labels.push((context.label(segment.class_index), [corner[0] + x, corner[1] + y], colour));
        }
    }
    for (label, at, colour) in labels {
        caption.tag(picture, &label, at, colour);
    }
    Ok(())
}

/// Draws the line where a margin changes its sign. `corner` is where the margin lies on the picture.
fn contour(picture: &mut RgbImage, margin: &Array2<f32>, corner: [u32; 2], thickness: u32, colour: [u8; 3]) {
    let (width, height) = picture.dimensions();
    let mut dot = |x: usize, y: usize| {
        let (left, top) = (corner[0] + x as u32, corner[1] + y as u32);
        for (x, y) in (0..thickness).flat_map(|dy| (0..thickness).map(move |dx| (left + dx, top + dy))) {
            if x < width && y < height {
                picture.put_pixel(x, y, Rgb(colour));
            }
        }
    };
    let Some(cells) = margin.as_slice() else { return };
    let rows: Vec<&[f32]> = cells.chunks_exact(margin.ncols().max(1)).collect();
    let differ = |a: &f32, b: &f32| (*a > 0.0) != (*b > 0.0);
    for (y, row) in rows.iter().enumerate() {
        for (x, _) in row.windows(2).enumerate().filter(|(_, pair)| differ(&pair[0], &pair[1])) {
            dot(x, y);
        }
        let Some(below) = rows.get(y + 1) else { continue };
        for (x, _) in row.iter().zip(*below).enumerate().filter(|(_, (a, b))| differ(a, b)) {
            dot(x, y);
        }
    }
}
