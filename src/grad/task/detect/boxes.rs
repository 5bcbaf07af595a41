//! The forms in which detectors give boxes, and how each becomes corners in pixels.

use std::fmt;

use ndarray::ArrayView2;

use super::cells::Cell;
use crate::grad::graph_writer::GraphWriter;
use crate::grad::task::BoxOrder;
use crate::grad::value::Value;

/// How many boxes are compared with the places of their anchors, at least and at most.
const FEWEST_COMPARED: usize = 8;
const MOST_COMPARED: usize = 512;

/// The form of four or more numbers that stand for a box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BoxForm {
    /// A box in pixels, or in shares of the input.
    Decoded { order: BoxOrder, pixels: bool },
    /// An offset from the cell in cells, and the logarithms of width and height in cells (Ge et al., *YOLOX*, 2021).
    CellOffsets,
    /// Distances from the middle of the cell, or from its upper left corner, to the four sides, in cells, as distributions
    /// (Li et al., *Generalized Focal Loss*, 2020).
    Distributions { bins: usize, of_corner: bool },
    /// Offsets from anchors of three scales and three ratios (Lin et al., *Focal Loss for Dense Object Detection*, 2017).
    AnchorOffsets,
    /// An offset from the middle of the cell, width and height in pixels (Bazarevsky et al., *`BlazeFace`*, 2019).
    MiddleOffsets,
}

impl BoxForm {
    /// The form of boxes `[A,4]` of a run on noise in an input `[height, width]`, of which `middle` gives the middle of an
    /// anchor's cell in pixels, `[x, y]`, if it has one. Rows of zeros fill up others. Without any other rows, they are
    /// corners in pixels.
    pub fn of_values(
        boxes: ArrayView2<f32>,
        [height, width]: [usize; 2],
        middle: &dyn Fn(usize) -> Option<[f32; 2]>,
    ) -> Self {
        let rows = rows_of(boxes);
        if rows.is_empty() {
            return Self::Decoded { order: BoxOrder::Xyxy, pixels: true };
        }
        // Boxes may reach over the border of the picture.
        let shares = rows.iter().filter(|(_, row)| row.iter().all(|side| side.abs() <= 2.0)).count();
        let pixels = shares * 2 < rows.len();
        let input = [width, height].map(|side| side as f32);
        let scale = if pixels { input } else { [1.0; 2] };
        // Of centres all over the picture, few are left of and above the size of their box.
        let usual = if share_of_corners(boxes) > 0.9 { BoxOrder::Xyxy } else { BoxOrder::Cxcywh };
        let step = rows.len().div_ceil(MOST_COMPARED);
        let placed = rows.iter().step_by(step).filter_map(|(anchor, row)| Some((*row, middle(*anchor)?)));
        let placed: Vec<([f32; 4], [f32; 2])> = placed.collect();
        let distance = |order: BoxOrder| {
            let off = placed.iter().map(|(row, middle)| {
                let found = order.middle(*row);
                (0..2).map(|axis| (found[axis] / scale[axis] - middle[axis] / input[axis]).abs()).sum::<f32>()
            });
            let mut off: Vec<f32> = off.collect();
            off.sort_unstable_by(f32::total_cmp);
            off[off.len() / 2]
        };
        let order = if placed.len() < FEWEST_COMPARED {
            usual
        } else {
            let nearest = BoxOrder::ALL.into_iter().min_by(|a, b| distance(*a).total_cmp(&distance(*b)));
            nearest.filter(|nearest| 2.0 * distance(*nearest) < distance(usual)).unwrap_or(usual)
        };
        Self::Decoded { order, pixels }
    }

    pub fn is_in_pixels(self) -> bool {
        matches!(self, Self::Decoded { pixels: true, .. })
    }

    /// Left, top, right and bottom in pixels, `[N,A,4]`, of an input `[height, width]`.
    pub fn corners<'w>(
        self,
        writer: &'w GraphWriter<'w>,
        boxes: Value<'w>,
        cells: &[Cell],
        [height, width]: [usize; 2],
    ) -> Value<'w> {
        let pair = |of: &dyn Fn(&Cell) -> [f32; 2]| {
            let values: Vec<f32> = cells.iter().flat_map(of).collect();
            writer.floats(&[1, cells.len() as i64, 2], &values)
        };
        let stride = || pair(&|cell| [cell.stride[1], cell.stride[0]]);
        let within =
            |share: f32| pair(&|c| [(c.column as f32 + share) * c.stride[1], (c.row as f32 + share) * c.stride[0]]);
        let (first, second) = (boxes.slice(0, 2, 2), boxes.slice(2, 4, 2));
        match self {
            Self::Decoded { order, pixels } => {
                let corners = match order {
                    BoxOrder::Xyxy => boxes,
                    BoxOrder::Yxyx => {
                        let sides = [1, 0, 3, 2].map(|side| boxes.slice(side, side + 1, 2));
                        sides[0].concat(&sides[1..], 2)
                    }
                    BoxOrder::Xywh => first.concat(&[first + second], 2),
                    BoxOrder::Cxcywh => around(first, second),
                };
                let (w, h) = (width as f32, height as f32);
                if pixels { corners } else { corners * writer.floats(&[4], &[w, h, w, h]) }
            }
            Self::CellOffsets => {
                let corner = pair(&|cell| [cell.column as f32, cell.row as f32]);
                around((first + corner) * stride(), second.exp() * stride())
            }
            Self::Distributions { bins, of_corner } => {
                let of_side = boxes.reshape(&[0, 0, 4, bins as i64]).softmax(3);
                let numbers: Vec<f32> = (0..bins).map(|bin| bin as f32).collect();
                let distances = (of_side * writer.floats(&[bins as i64], &numbers)).sum_away(&[3]);
                let point = within(if of_corner { 0.0 } else { 0.5 });
                let from = point - distances.slice(0, 2, 2) * stride();
                from.concat(&[point + distances.slice(2, 4, 2) * stride()], 2)
            }
            Self::AnchorOffsets => {
                // Steps are limited as in torchvision's coder, so that no box is infinite.
                let limit = writer.scalar((1000.0_f32 / 16.0).ln());
                let size = pair(&anchor_size);
                around(within(0.0) + first * size, second.apply("Min", &[limit], &[]).exp() * size)
            }
            Self::MiddleOffsets => around(within(0.5) + first, second),
        }
    }
}

/// The rows of boxes `[A,4]` that are not all zeros, with their numbers.
fn rows_of(boxes: ArrayView2<f32>) -> Vec<(usize, [f32; 4])> {
    let rows = boxes.outer_iter().map(|row| [row[0], row[1], row[2], row[3]]);
    rows.enumerate().filter(|(_, row)| row.iter().any(|side| *side != 0.0)).collect()
}

/// How many of the boxes `[A,4]` that are not all zeros could be corners: of those, the second is right of and below the first.
pub fn share_of_corners(boxes: ArrayView2<f32>) -> f32 {
    let rows = rows_of(boxes);
    rows.iter().filter(|(_, row)| row[2] >= row[0] && row[3] >= row[1]).count() as f32 / rows.len() as f32
}

/// Width and height of an anchor of `RetinaNet`: scales 2^0, 2^(1/3), 2^(2/3) of four cells, for the ratios 1/2, 1 and 2 of
/// height to width, rounded as in torchvision.
fn anchor_size(cell: &Cell) -> [f32; 2] {
    let (ratio, scale) = ([0.5_f32, 1.0, 2.0][cell.anchor / 3 % 3], 2_f32.powf((cell.anchor % 3) as f32 / 3.0));
    let [down, across] = cell.stride.map(|stride| 4.0 * stride * scale);
    [across / ratio.sqrt(), down * ratio.sqrt()].map(|side| 2.0 * (side / 2.0).round_ties_even())
}

/// The corners of boxes with these centres and sizes.
fn around<'w>(centre: Value<'w>, size: Value<'w>) -> Value<'w> {
    let half = size * 0.5;
    (centre - half).concat(&[centre + half], 2)
}

impl fmt::Display for BoxForm {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Decoded { order, pixels } => {
                let order = match order {
                    BoxOrder::Xyxy => "corners",
                    BoxOrder::Yxyx => "corners, y before x,",
                    BoxOrder::Xywh => "upper left corners and sizes",
                    BoxOrder::Cxcywh => "centres and sizes",
                };
                write!(f, "{order} in {}", if *pixels { "pixels" } else { "shares of the input" })
            }
            Self::CellOffsets => f.write_str("offsets from cells, as in YOLOX"),
            Self::Distributions { bins, of_corner } => {
                let point = if *of_corner { "corners" } else { "middles" };
                write!(f, "distributions over {bins} distances from the {point} of cells")
            }
            Self::AnchorOffsets => f.write_str("offsets from the anchors of RetinaNet"),
            Self::MiddleOffsets => f.write_str("offsets from the middles of cells"),
        }
    }
}
