//! Ops that sample maps at given points.

use crate::support::gradient::{Case, case, int, node};
use whycam::onnx::proto::Attribute;

pub fn cases() -> Vec<Case> {
    let sample = |name, x, inputs: &[&str], attributes: &[Attribute]| {
        let mut tested = node("GridSample", inputs);
        tested.attribute = attributes.to_vec();
        case("GridSample", name, x, tested)
    };
    let border = || Attribute::from_string("padding_mode", "border");
    let aligned = || int("align_corners", 1);
    let points = [-1.3, -0.4, 0.2, 0.7, 0.95, -0.9, 0.1, 1.2, -0.6, 0.33, 0.5, -0.05];
    // Clear of the borders between cells, where the slope by the grid jumps.
    let grid: &[usize] = &[1, 3, 2, 2];
    let roi = |name, mode| {
        let tested = node("RoiAlign", &["x", "rois", "pictures"])
            .with(int("output_height", 2))
            .with(int("output_width", 3))
            .with(int("sampling_ratio", 2))
            .with(Attribute::from_float("spatial_scale", 0.5))
            .with(Attribute::from_string("coordinate_transformation_mode", mode));
        let rois = [1.0, 2.0, 9.0, 8.0, -3.0, 0.5, 4.0, 15.0, 6.0, 6.0, 6.4, 6.4];
        case("RoiAlign", name, &[1, 2, 6, 7], tested).floats_of("rois", &[3, 4], &rois).int64s("pictures", &[0, 0, 0])
    };
    vec![
        sample("map", &[1, 2, 4, 5], &["x", "g"], &[]).floats_of("g", &[1, 3, 2, 2], &points),
        sample("map, border", &[1, 2, 4, 5], &["x", "g"], &[border()]).floats_of("g", &[1, 3, 2, 2], &points),
        sample("map, corners aligned", &[1, 2, 4, 5], &["x", "g"], &[aligned()]).floats_of("g", &[1, 3, 2, 2], &points),
        sample("two maps", &[2, 1, 4, 3], &["x", "g"], &[]).floats_of("g", &[2, 3, 1, 2], &points),
        sample("grid", grid, &["m", "x"], &[]).constant("m", &[1, 2, 4, 5]).with_step(1e-3),
        sample("grid, border", grid, &["m", "x"], &[border()]).constant("m", &[1, 2, 4, 5]).with_step(1e-3),
        sample("grid, corners aligned", grid, &["m", "x"], &[aligned()]).constant("m", &[1, 2, 3, 4]).with_step(1e-3),
        roi("pixels from their corners", "output_half_pixel"),
        roi("pixels from their middles", "half_pixel"),
        case("MatMul", "a vector", &[2, 3, 4], node("MatMul", &["x", "v"])).floats("v", &[0.3, -0.7, 1.1, 0.2]),
    ]
}
