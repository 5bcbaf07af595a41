//! Convolution.

use crate::error::Result;
use crate::grad::Vjp;
use crate::onnx::proto::{Attribute, Node};

/// Strides, dilations and pads of a convolution or pooling node, one number a spatial axis.
pub struct Window {
    pub kernel: Vec<i64>,
    pub strides: Vec<i64>,
    pub dilations: Vec<i64>,
    pub pads_begin: Vec<i64>,
    pub pads_end: Vec<i64>,
}

impl Window {
    /// Reads a node's window, with `auto_pad` worked out
    /// (<https://onnx.ai/onnx/operators/onnx__Conv.html>). `x` and `y` are spatial sizes.
    pub fn of(node: &Node, kernel: Vec<i64>, x: &[usize], y: &[usize]) -> Self {
        let axes = kernel.len();
        let ones = vec![1; axes];
        let strides = node.ints("strides").map_or_else(|| ones.clone(), <[i64]>::to_vec);
        let dilations = node.ints("dilations").map_or(ones, <[i64]>::to_vec);
        let (mut pads_begin, mut pads_end) = (vec![0; axes], vec![0; axes]);
        let auto_pad = node.string("auto_pad").unwrap_or("NOTSET");
        for axis in 0..axes {
            match auto_pad {
                "SAME_UPPER" | "SAME_LOWER" => {
                    let reach = (y[axis] as i64 - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1;
                    let total = (reach - x[axis] as i64).max(0);
                    let (less, more) = (total / 2, total - total / 2);
                    (pads_begin[axis], pads_end[axis]) =
                        if auto_pad == "SAME_UPPER" { (less, more) } else { (more, less) };
                }
                "VALID" => {}
                _ => {
                    if let Some(pads) = node.ints("pads").filter(|pads| pads.len() == 2 * axes) {
                        (pads_begin[axis], pads_end[axis]) = (pads[axis], pads[axes + axis]);
                    }
                }
            }
        }
        Self { kernel, strides, dilations, pads_begin, pads_end }
    }

    /// The convolution of `grad` with the node's own weights.
    fn forward(&self, vjp: &mut Vjp, grad: &str) -> Result<String> {
        let group = vjp.node.int("group").unwrap_or(1);
        let attributes = vec![
            Attribute::from_ints("strides", &self.strides),
            Attribute::from_ints("dilations", &self.dilations),
            Attribute::from_ints("pads", &self.pads()),
            Attribute::from_int("group", group),
        ];
        Ok(vjp.emit("Conv", &[grad, vjp.input_name(1)?], attributes))
    }

    /// The transposed convolution of `grad`, of `y`'s size, back to `x`'s size.
    pub fn transposed(&self, vjp: &mut Vjp, grad: &str, weights: &str, group: i64, x: &[usize], y: &[usize]) -> String {
        // How far the windows reach beyond what the pads at the end allow for: negative where the
        // last places of x lie in no window, positive where ceil_mode let a window hang over.
        let over: Vec<i64> = (0..x.len())
            .map(|axis| {
                let reach =
                    (y[axis] as i64 - 1) * self.strides[axis] + (self.kernel[axis] - 1) * self.dilations[axis] + 1;
                reach - self.pads_begin[axis] - self.pads_end[axis] - x[axis] as i64
            })
            .collect();
        let pads_end: Vec<i64> = self.pads_end.iter().zip(&over).map(|(pad, over)| pad + over.max(&0)).collect();
        let output_padding: Vec<i64> = over.iter().map(|over| (-over).max(0)).collect();
        let attributes = vec![
            Attribute::from_ints("strides", &self.strides),
            Attribute::from_ints("dilations", &self.dilations),
            Attribute::from_ints("pads", &[self.pads_begin.as_slice(), &pads_end].concat()),
            Attribute::from_ints("output_padding", &output_padding),
            Attribute::from_int("group", group),
        ];
        vjp.emit("ConvTranspose", &[grad, weights], attributes)
    }

    /// The pads of the convolution that undoes this one, where the stride is 1 and they are not negative.
    fn pads_of_reverse(&self) -> Option<Vec<i64>> {
        let reach = self.kernel.iter().zip(&self.dilations).map(|(kernel, dilation)| (kernel - 1) * dilation);
        let reach: Vec<i64> = reach.collect();
        let left = |pads: &[i64]| reach.iter().zip(pads).map(|(reach, pad)| reach - pad).collect::<Vec<_>>();
        let pads = [left(&self.pads_begin), left(&self.pads_end)].concat();
        (self.strides.iter().all(|&stride| stride == 1) && pads.iter().all(|&pad| pad >= 0)).then_some(pads)
    }

    fn pads(&self) -> Vec<i64> {
        [self.pads_begin.as_slice(), self.pads_end.as_slice()].concat()
    }
}

/// `y = w * x + b`, `dx = wᵀ * dy`: the transposed convolution with the same window, given the
/// output padding that brings it back to the size of `x`. With a stride of 1 that is a convolution
/// with the weights turned round, which runtimes are faster at. `dw` is the convolution of `x` with `dy` as
/// its kernel, strides and dilations exchanged.
///
/// <https://onnx.ai/onnx/operators/onnx__Conv.html>, opset 1 on; Dumoulin and Visin, *A guide to
/// convolution arithmetic for deep learning*, 2016. `x` `[N,C,…]`, `w` `[M,C/group,…]`.
pub fn conv(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let (x, y) = (&vjp.input_shape(0)?[2..], &vjp.output_shape()?[2..]);
    let kernel = vjp.input_shape(1)?[2..].iter().map(|&k| k as i64).collect();
    let window = Window::of(vjp.node, kernel, x, y);
    let group = vjp.node.int("group").unwrap_or(1);
    match vjp.input {
        0 => {
            if let Some(pads) = window.pads_of_reverse() {
                return reversed(vjp, &window, &grad, group, &pads).map(Some);
            }
            let weights = vjp.input_name(1)?;
            Ok(Some(window.transposed(vjp, &grad, weights, group, x, y)))
        }
        1 => weights(vjp, &window, &grad, group).map(Some),
        _ => {
            let axes: Vec<i64> = (0..2 + x.len() as i64).filter(|axis| *axis != 1).collect();
            let axes = vjp.backward.int64s(&axes);
            Ok(Some(vjp.emit("ReduceSum", &[&grad, &axes], vec![Attribute::from_int("keepdims", 0)])))
        }
    }
}

/// The convolution of `grad` with the weights `[M,C/group,…]` turned round in place and in channels.
fn reversed(vjp: &mut Vjp, window: &Window, grad: &str, group: i64, pads: &[i64]) -> Result<String> {
    let spatial = window.kernel.as_slice();
    let shape = vjp.input_shape(1)?;
    let (m, c) = (shape[0] as i64, shape[1] as i64);
    let mut weights = vjp.input_name(1)?.to_owned();
    let long: Vec<i64> = (2..).zip(spatial).filter(|(_, size)| **size > 1).map(|(axis, _)| axis).collect();
    if !long.is_empty() {
        let bounds = [vec![-1; long.len()], vec![i64::MIN; long.len()], long.clone(), vec![-1; long.len()]];
        let [start, end, axes, steps] = bounds.map(|values| vjp.backward.int64s(&values));
        weights = vjp.emit("Slice", &[&weights, &start, &end, &axes, &steps], vec![]);
    }
    let shapes = [
        [vec![group, m / group, c], spatial.to_vec()].concat(),
        [vec![group * c, m / group], spatial.to_vec()].concat(),
    ];
    let [apart, joined] = shapes.map(|shape| vjp.backward.int64s(&shape));
    let order: Vec<i64> = [0, 2, 1].into_iter().chain(3..3 + spatial.len() as i64).collect();
    let weights = vjp.emit("Reshape", &[&weights, &apart], vec![]);
    let weights = vjp.emit("Transpose", &[&weights], vec![Attribute::from_ints("perm", &order)]);
    let weights = vjp.emit("Reshape", &[&weights, &joined], vec![]);
    let attributes = vec![
        Attribute::from_ints("dilations", &window.dilations),
        Attribute::from_ints("pads", pads),
        Attribute::from_int("group", group),
    ];
    Ok(vjp.emit("Conv", &[grad, &weights], attributes))
}

/// The gradient of a convolution's weights `[M,C/group,…]`.
fn weights(vjp: &mut Vjp, window: &Window, grad: &str, group: i64) -> Result<String> {
    let (x, y, kernel) = (vjp.input_shape(0)?, vjp.output_shape()?, vjp.input_shape(1)?);
    let x_name = vjp.input_name(0)?;
    let spatial = |shape: &[usize]| shape[2..].iter().map(|&d| d as i64).collect::<Vec<_>>();
    let last: Vec<i64> = (3..3 + window.kernel.len() as i64).collect();
    let ordered = |first: [i64; 3]| Attribute::from_ints("perm", &[&first[..], &last].concat());
    let mut moved = |tensor: &str, apart: Vec<i64>, order: [i64; 3], joined: Vec<i64>| {
        let [apart, joined] = [apart, joined].map(|shape| vjp.backward.int64s(&shape));
        let tensor = vjp.emit("Reshape", &[tensor, &apart], vec![]);
        let tensor = vjp.emit("Transpose", &[&tensor], vec![ordered(order)]);
        vjp.emit("Reshape", &[&tensor, &joined], vec![])
    };
    // [N,g·c,…] to [c,g·N,…], and [N,g·m,…] to [g·m,N,…].
    let (batch, c, m) = (x[0] as i64, kernel[1] as i64, kernel[0] as i64);
    let input = moved(
        x_name,
        [vec![batch, group, c], spatial(x)].concat(),
        [2, 1, 0],
        [vec![c, group * batch], spatial(x)].concat(),
    );
    let slid = moved(
        grad,
        [vec![batch, group, m / group], spatial(y)].concat(),
        [1, 2, 0],
        [vec![m, batch], spatial(y)].concat(),
    );
    let attributes = vec![
        Attribute::from_ints("strides", &window.dilations),
        Attribute::from_ints("dilations", &window.strides),
        Attribute::from_ints("pads", &window.pads()),
        Attribute::from_int("group", group),
    ];
    let product = vjp.emit("Conv", &[&input, &slid], attributes);
    // A stride that leaves out the last places makes it longer than the kernel.
    let axes: Vec<i64> = (2..2 + window.kernel.len() as i64).collect();
    let [start, end, axes] = [&vec![0; axes.len()], &window.kernel, &axes].map(|v| vjp.backward.int64s(v));
    let product = vjp.emit("Slice", &[&product, &start, &end, &axes], vec![]);
    let swapped: Vec<i64> = [1, 0].into_iter().chain(2..2 + window.kernel.len() as i64).collect();
    Ok(vjp.emit("Transpose", &[&product], vec![Attribute::from_ints("perm", &swapped)]))
}

/// `y = wᵀ * x + b`, `dx = w * dy`: the convolution that it transposes.
///
/// <https://onnx.ai/onnx/operators/onnx__ConvTranspose.html>, opset 1 on. `x` `[N,C,…]`, `w`
/// `[C,M/group,…]`.
pub fn conv_transpose(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Err(vjp.unsupported("its weights"));
    }
    let auto_pad = vjp.node.string("auto_pad").unwrap_or("NOTSET");
    let grad = vjp.grad()?;
    let (x, y) = (&vjp.input_shape(0)?[2..], &vjp.output_shape()?[2..]);
    let kernel = vjp.input_shape(1)?[2..].iter().map(|&k| k as i64).collect();
    let mut window = Window::of(vjp.node, kernel, x, y);
    let chosen = auto_pad.starts_with("SAME") || vjp.node.ints("output_shape").is_some();
    for axis in 0..x.len() {
        if chosen {
            // The output's size was asked for, and the pads follow from it.
            let extra = vjp.node.ints("output_padding").and_then(|p| p.get(axis)).copied().unwrap_or(0);
            let reach = (x[axis] as i64 - 1) * window.strides[axis]
                + (window.kernel[axis] - 1) * window.dilations[axis]
                + 1
                + extra;
            let total = (reach - y[axis] as i64).max(0);
            window.pads_begin[axis] = if auto_pad == "SAME_UPPER" { total / 2 } else { total - total / 2 };
        }
        // What output_padding added at the end takes no part in the sum.
        let reach =
            (x[axis] as i64 - 1) * window.strides[axis] + (window.kernel[axis] - 1) * window.dilations[axis] + 1;
        window.pads_end[axis] = reach - window.pads_begin[axis] - y[axis] as i64;
    }
    if window.pads_end.iter().any(|&pad| pad < 0) {
        let cut: Vec<i64> = window.pads_end.iter().map(|&pad| pad.min(0)).collect();
        let pads = [vec![0; 2 + x.len() + 2], cut].concat();
        let pads = vjp.backward.int64s(&pads);
        let cut_grad = vjp.emit("Pad", &[&grad, &pads], vec![]);
        window.pads_end.iter_mut().for_each(|pad| *pad = (*pad).max(0));
        return Ok(Some(window.forward(vjp, &cut_grad)?));
    }
    Ok(Some(window.forward(vjp, &grad)?))
}
