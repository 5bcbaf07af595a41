//! Sampling of maps at given points.

use crate::error::Result;
use crate::grad::value::Value;
use crate::grad::vjp::{Gradient, Vjp};
use crate::onnx::proto::Attribute;

/// `y = Σ w x` over the four cells around each point of the grid, where `w = w_x w_y`. `dx = w dy`, added at those cells;
/// `dgrid = Σ_c dy ∂w/∂point x`, in pixels per unit of the grid. Cells outside of the map count as zeros, or the points
/// are held at its border.
///
/// <https://onnx.ai/onnx/operators/onnx__GridSample.html>, opset 16 on, bilinear. Jaderberg et al., *Spatial Transformer
/// Networks*, 2015, equations 6 and 7.
pub fn grid_sample(vjp: Vjp) -> Gradient {
    let mode = vjp.node.string("mode").unwrap_or("bilinear");
    let padding = vjp.node.string("padding_mode").unwrap_or("zeros");
    if !matches!(mode, "bilinear" | "linear") || !matches!(padding, "zeros" | "border") {
        return Err(vjp.unsupported(&format!("the mode {mode} with the padding {padding}")));
    }
    let ([_, channels, height, width], [_, rows, columns, 2]) = (vjp.operand_shape(0)?, vjp.operand_shape(1)?) else {
        return Err(vjp.unsupported("volumes"));
    };
    let sampling = Sampling { vjp, border: padding == "border", size: [*height as i64, *width as i64] };
    let points = (rows * columns) as i64;
    let dy = vjp.dy()?.reshape(&[0, *channels as i64, points]);
    let axes = [sampling.along(0, points)?, sampling.along(1, points)?];
    if vjp.input == 0 {
        sampling.by_map(dy, axes, *channels as i64)
    } else {
        sampling.by_grid(dy, axes, *channels as i64)
    }
}

struct Sampling<'g> {
    vjp: Vjp<'g>,
    border: bool,
    /// Height and width of the map.
    size: [i64; 2],
}

/// Where points lie along one axis, each `[N,1,P]`.
#[derive(Clone, Copy)]
struct Along<'g> {
    /// The two cells around each point, held within the map.
    cells: [Value<'g>; 2],
    /// 1 where the cell lies in the map, else 0.
    inside: [Value<'g>; 2],
    /// The weights of the cells.
    weights: [Value<'g>; 2],
    /// Cells per unit of the grid; 0 where the point is held at the border.
    slope: Value<'g>,
}

impl<'g> Sampling<'g> {
    /// `axis` is 0 for rows and 1 for columns.
    fn along(&self, axis: usize, points: i64) -> Result<Along<'g>> {
        let writer = self.vjp.writer;
        let length = self.size[axis] as f32;
        let last = length - 1.0;
        // The grid holds columns first.
        let number = 1 - axis as i64;
        let point = self.vjp.operand(1)?.slice(number, number + 1, 3).reshape(&[0, 1, points]);
        let aligned = self.vjp.int("align_corners", 0) != 0;
        let unit = if aligned { last / 2.0 } else { length / 2.0 };
        let free = if aligned { (point + 1.0) * unit } else { (point + 1.0) * unit - 0.5 };
        let held = |value: Value<'g>| value.apply("Clip", &[writer.scalar(0.0), writer.scalar(last)], &[]);
        let at = if self.border { held(free) } else { free };
        let unchanged = if self.border { free.equals(at).to_float() } else { at * 0.0 + 1.0 };
        let low = at.apply("Floor", &[], &[]);
        let high = low + 1.0;
        let inside = |cell: Value<'g>| cell.equals(held(cell)).to_float();
        let upper = at - low;
        Ok(Along {
            cells: [held(low), held(high)],
            inside: [inside(low), inside(high)],
            weights: [1.0 - upper, upper],
            slope: unchanged * unit,
        })
    }

    /// The number of a cell in the flattened map, `[N,C,P]`.
    fn position(&self, row: Value<'g>, column: Value<'g>, like: Value<'g>) -> Value<'g> {
        (row * self.size[1] as f32 + column).to_int64().expand(like.shape())
    }

    fn by_map(&self, dy: Value<'g>, [y, x]: [Along<'g>; 2], channels: i64) -> Gradient<'g> {
        let (mut positions, mut updates) = (Vec::new(), Vec::new());
        for (row, column) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let weight = y.weights[row] * y.inside[row] * x.weights[column] * x.inside[column];
            positions.push(self.position(y.cells[row], x.cells[column], dy));
            updates.push(dy * weight);
        }
        let (positions, updates) = (positions[0].concat(&positions[1..], 2), updates[0].concat(&updates[1..], 2));
        let map = self.vjp.operand(0)?.reshape(&[0, channels, -1]);
        let attributes = [Attribute::from_int("axis", 2), Attribute::from_string("reduction", "add")];
        let sum = self.vjp.zeros_like(map).apply("ScatterElements", &[positions, updates], &attributes);
        Ok(Some(sum.reshape_like(self.vjp.x_name())))
    }

    fn by_grid(&self, dy: Value<'g>, [y, x]: [Along<'g>; 2], channels: i64) -> Gradient<'g> {
        let map = self.vjp.operand(0)?.reshape(&[0, channels, -1]);
        let cell = |row: usize, column: usize| {
            let position = self.position(y.cells[row], x.cells[column], dy);
            let value = map.apply("GatherElements", &[position], &[Attribute::from_int("axis", 2)]);
            (dy * value).sum_over(&[1]) * (y.inside[row] * x.inside[column])
        };
        let cells = [[cell(0, 0), cell(0, 1)], [cell(1, 0), cell(1, 1)]];
        let across = (cells[0][1] - cells[0][0]) * y.weights[0] + (cells[1][1] - cells[1][0]) * y.weights[1];
        let down = (cells[1][0] - cells[0][0]) * x.weights[0] + (cells[1][1] - cells[0][1]) * x.weights[1];
        let (across, down) = (across * x.slope, down * y.slope);
        let pairs = across.concat(&[down], 1).transpose(&[0, 2, 1]);
        Ok(Some(pairs.reshape_like(self.vjp.x_name())))
    }
}

/// `y = the mean over sample points in each bin of each region`, each interpolated from the four cells around it.
/// `dx = dy` by the same weights, added at those cells. Regions count as constants, as in PyTorch.
///
/// <https://onnx.ai/onnx/operators/onnx__RoiAlign.html>, opset 10 on, of averages with a stated number of points. He et
/// al., *Mask R-CNN*, 2017.
pub fn roi_align(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Ok(None);
    }
    let ratio = vjp.int("sampling_ratio", 0);
    let [1, channels, height, width] = *vjp.operand_shape(0)? else {
        return Err(vjp.unsupported("several pictures"));
    };
    if vjp.node.string("mode").is_some_and(|mode| mode != "avg") || ratio < 1 {
        return Err(vjp.unsupported("maxima, or a number of points that follows the region"));
    }
    let bins = [vjp.int("output_height", 1), vjp.int("output_width", 1)];
    let channels = channels as i64;
    // [C,R·h·w]
    let dy = vjp.dy()?.transpose(&[1, 0, 2, 3]).reshape(&[channels, -1]) * (1.0 / (ratio * ratio) as f32);
    let (mut positions, mut updates) = (Vec::new(), Vec::new());
    for (row, column) in (0..ratio).flat_map(|row| (0..ratio).map(move |column| (row, column))) {
        let y = roi_points(vjp, 0, bins[0], row, height as f32)?;
        let x = roi_points(vjp, 1, bins[1], column, width as f32)?;
        for (down, across) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let [(cell_y, weight_y), (cell_x, weight_x)] = [y[down], x[across]];
            // [R,h,1] with [R,1,w]
            let (cell_y, weight_y) = (cell_y.unsqueeze(&[2]), weight_y.unsqueeze(&[2]));
            let (cell_x, weight_x) = (cell_x.unsqueeze(&[1]), weight_x.unsqueeze(&[1]));
            let position = (cell_y * width as f32 + cell_x).reshape(&[1, -1]).to_int64();
            positions.push(position.expand(dy.shape()));
            updates.push(dy * (weight_y * weight_x).reshape(&[1, -1]));
        }
    }
    let (positions, updates) = (positions[0].concat(&positions[1..], 1), updates[0].concat(&updates[1..], 1));
    let map = vjp.operand(0)?.reshape(&[channels, -1]);
    let attributes = [Attribute::from_int("axis", 1), Attribute::from_string("reduction", "add")];
    let sum = vjp.zeros_like(map).apply("ScatterElements", &[positions, updates], &attributes);
    Ok(Some(sum.reshape_like(vjp.x_name())))
}

/// The two cells along one axis around the sample point number `sample` of each bin of each region, and their weights,
/// all `[R,bins]`. `axis` is 0 for rows and 1 for columns, of which there are `length`.
fn roi_points<'g>(vjp: Vjp<'g>, axis: i64, bins: i64, sample: i64, length: f32) -> Result<[(Value<'g>, Value<'g>); 2]> {
    let writer = vjp.writer;
    let aligned = vjp.node.string("coordinate_transformation_mode").unwrap_or("half_pixel") == "half_pixel";
    let scale = vjp.float("spatial_scale", 1.0);
    let number = 1 - axis;
    let side = |number: i64| Ok::<_, crate::error::Error>(vjp.operand(1)?.slice(number, number + 1, 1) * scale);
    let shift = if aligned { 0.5 } else { 0.0 };
    let (start, end) = (side(number)? - shift, side(number + 2)? - shift);
    let size = if aligned { end - start } else { (end - start).max(1.0) };
    let ratio = vjp.int("sampling_ratio", 1) as f32;
    let within: Vec<f32> = (0..bins).map(|bin| (bin as f32 + (sample as f32 + 0.5) / ratio) / bins as f32).collect();
    let point = start + size * writer.floats(&[1, bins], &within);
    let held = |value: Value<'g>| value.apply("Clip", &[writer.scalar(0.0), writer.scalar(length - 1.0)], &[]);
    let inside = point.at_least(-1.0).and(point.at_most(length)).to_float();
    let at = held(point);
    let low = at.apply("Floor", &[], &[]);
    let upper = at - low;
    Ok([(low, (1.0 - upper) * inside), (held(low + 1.0), upper * inside)])
}
