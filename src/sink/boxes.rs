//! Boxes around the hot regions of a map.

use ndarray::Array2;
use serde::Serialize;

use crate::cam::{CamMap, enlarged, rectified};
use crate::error::Result;
use crate::model::Region;

/// The bounding box of a hot region, in pixels of the frame.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HotBox {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
    /// The largest value of the region as a share of the map's largest value, 0..=1.
    pub peak: f32,
    /// The region's share of the sum of the whole map, 0..=1.
    pub mass: f32,
}

/// The boxes of the regions where a map is at least `share` of its largest value, hottest first. A region is a set of
/// cells connected by their sides, in the enlarged map, so that boxes are finer than the map's cells. `region` is where
/// the map lies on the frame, and `frame` the frame's width and height in pixels.
///
/// # Errors
/// The map is empty.
pub fn hot_boxes(map: &CamMap, region: &Region, share: f32, frame: (u32, u32)) -> Result<Vec<HotBox>> {
    /// The approximate number of cells per side of the enlarged map.
    const FINE: usize = 112;
    // Of a signed map, what raises the value.
    let map = CamMap::new(rectified(map.values.clone()));
    if !map.evidence {
        return Ok(Vec::new());
    }
    let (h, w) = map.values.dim();
    let factor = FINE.div_ceil(h.max(w));
    let fine = enlarged(map.values.view(), h * factor, w * factor)?;
    let total: f32 = fine.sum();
    let highest = fine.iter().copied().fold(0.0, f32::max);
    let level = share * highest;
    let (rows, columns) = fine.dim();
    let pixel = |cell: usize, cells: usize, start: f64, length: f64, end: u32| {
        (start + cell as f64 / cells as f64 * length).round().clamp(0.0, f64::from(end)) as u32
    };
    let mut boxes: Vec<HotBox> = Vec::new();
    for cells in hot_regions(&fine, level) {
        let edge = |pick: fn(&(usize, usize)) -> usize| {
            let lowest = cells.iter().map(pick).min().unwrap_or(0);
            (lowest, cells.iter().map(pick).max().unwrap_or(0) + 1)
        };
        let ((top, bottom), (left, right)) = (edge(|c| c.0), edge(|c| c.1));
        let [x, end_x] = [left, right].map(|cell| pixel(cell, columns, region.x, region.width, frame.0));
        let [y, end_y] = [top, bottom].map(|cell| pixel(cell, rows, region.y, region.height, frame.1));
        let values = cells.iter().map(|&cell| fine[cell]);
        boxes.push(HotBox {
            x,
            y,
            width: end_x - x,
            height: end_y - y,
            peak: values.clone().fold(0.0, f32::max) / highest,
            mass: values.sum::<f32>() / total,
        });
    }
    boxes.retain(|found| found.width > 0 && found.height > 0);
    boxes.sort_by(|a, b| b.peak.total_cmp(&a.peak).then(b.mass.total_cmp(&a.mass)));
    Ok(boxes)
}

/// The cells of each connected region with values of at least `level`.
fn hot_regions(map: &Array2<f32>, level: f32) -> Vec<Vec<(usize, usize)>> {
    let (rows, columns) = map.dim();
    let mut seen = Array2::from_elem((rows, columns), false);
    let mut regions = Vec::new();
    for start in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
        if seen[start] || map[start] < level {
            continue;
        }
        seen[start] = true;
        let (mut cells, mut open) = (Vec::new(), vec![start]);
        while let Some((row, column)) = open.pop() {
            cells.push((row, column));
            let neighbours =
                [(row.wrapping_sub(1), column), (row + 1, column), (row, column.wrapping_sub(1)), (row, column + 1)];
            for cell in neighbours {
                if map.get(cell).is_some_and(|&value| value >= level) && !seen[cell] {
                    seen[cell] = true;
                    open.push(cell);
                }
            }
        }
        regions.push(cells);
    }
    regions
}
