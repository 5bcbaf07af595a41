//! Which axes of a tensor are rows, columns and channels, and where its cells lie on the picture.

use serde::{Deserialize, Serialize};

/// The layout of a tensor that holds a feature map.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorLayout {
    /// The tensor's axes in the order batch, channels, rows, columns; or batch, channels, tokens.
    pub order: Vec<usize>,
    /// For tokens: how many precede those of the picture.
    pub prefix: Option<usize>,
    /// For tokens: how many follow those of the picture.
    pub suffix: usize,
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Where rows and columns lie on the model's input.
    pub geometry: FieldGeometry,
}

/// Where the receptive fields of a map lie: that of row or column `i` is centred at `first + i * stride`, in pixels
/// from the edge of the model's input. Strides and padding shift these centres by half a cell or more (Araujo, Norris
/// and Sim, *Computing Receptive Fields of Convolutional Neural Networks*, Distill 2019,
/// <https://distill.pub/2019/computing-receptive-fields>).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldGeometry {
    /// The centre of the first row, and of the first column.
    pub first: [f64; 2],
    /// The distance between rows, and between columns.
    pub stride: [f64; 2],
}

impl FieldGeometry {
    /// A map `[height, width]` whose cells evenly tile an input `[height, width]`.
    pub fn even(map: [usize; 2], input: [usize; 2]) -> Self {
        let stride = [0, 1].map(|axis| input[axis] as f64 / map[axis] as f64);
        Self { first: stride.map(|stride| stride / 2.0), stride }
    }

    /// The upper left corner `[y, x]` of the map, in pixels of the input.
    pub fn corner(&self) -> [f64; 2] {
        [0, 1].map(|axis| self.first[axis] - self.stride[axis] / 2.0)
    }

    /// The part of a map of this geometry that a map `[height, width]` of another one covers, in cells: the upper left corner
    /// `[row, column]`, and the size `[rows, columns]`. It may reach over the edges.
    pub fn part_under(&self, other: &Self, map: [usize; 2]) -> [[f64; 2]; 2] {
        let (own, others) = (self.corner(), other.corner());
        let from = [0, 1].map(|axis| (others[axis] - own[axis]) / self.stride[axis]);
        let over = [0, 1].map(|axis| map[axis] as f64 * (other.stride[axis] / self.stride[axis]));
        [from, over]
    }

    /// Whether a map may lie so: all numbers are within the largest input and its padding, and no stride is tiny or negative.
    pub fn is_sound(&self) -> bool {
        const FARTHEST: f64 = 1e5;
        const LEAST: f64 = 1e-3;
        let stride = self.stride.iter().all(|stride| (LEAST..FARTHEST).contains(stride));
        stride && self.first.iter().all(|first| first.abs() < FARTHEST)
    }
}

impl TensorLayout {
    /// Whether the tensor holds tokens that are not part of the map.
    pub fn has_other_tokens(&self) -> bool {
        self.prefix.is_some_and(|prefix| prefix > 0) || self.suffix > 0
    }

    /// Whether the tensor is `[N,C,h,w]` without a transposition.
    pub fn is_plain(&self) -> bool {
        self.prefix.is_none() && self.order.is_sorted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_of_a_map_under_another_is_told_along_each_axis() {
        let late = FieldGeometry { first: [0.0, 2.0], stride: [8.0, 4.0] };
        let early = FieldGeometry { first: [0.0, 1.0], stride: [2.0, 2.0] };
        assert_eq!(late.part_under(&early, [16, 32]), [[3.0 / 8.0, 0.0], [4.0, 16.0]]);
        assert_eq!(late.part_under(&late, [7, 3]), [[0.0, 0.0], [7.0, 3.0]]);
    }
}
