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

    pub fn pads(&self) -> Vec<i64> {
        [self.pads_begin.as_slice(), self.pads_end.as_slice()].concat()
    }
}

/// `y = w * x + b`, `dx = wᵀ * dy`: the transposed convolution with the same window, given the
/// output padding that brings it back to the size of `x`.
///
/// <https://onnx.ai/onnx/operators/onnx__Conv.html>, opset 1 on; Dumoulin and Visin, *A guide to
/// convolution arithmetic for deep learning*, 2016. `x` `[N,C,…]`, `w` `[M,C/group,…]`.
pub fn conv(vjp: &mut Vjp) -> Result<Option<String>> {
    if vjp.input != 0 {
        return Err(vjp.unsupported("its weights"));
    }
    let grad = vjp.grad()?;
    let (x, y) = (&vjp.input_shape(0)?[2..], &vjp.output_shape()?[2..]);
    let kernel = vjp.input_shape(1)?[2..].iter().map(|&k| k as i64).collect();
    let window = Window::of(vjp.node, kernel, x, y);
    let output_padding: Vec<i64> = (0..x.len())
        .map(|axis| {
            let reach =
                (y[axis] as i64 - 1) * window.strides[axis] + (window.kernel[axis] - 1) * window.dilations[axis] + 1;
            x[axis] as i64 - (reach - window.pads_begin[axis] - window.pads_end[axis])
        })
        .collect();
    let attributes = vec![
        Attribute::from_ints("strides", &window.strides),
        Attribute::from_ints("dilations", &window.dilations),
        Attribute::from_ints("pads", &window.pads()),
        Attribute::from_ints("output_padding", &output_padding),
        Attribute::from_int("group", vjp.node.int("group").unwrap_or(1)),
    ];
    let weights = vjp.input_name(1)?;
    Ok(Some(vjp.emit("ConvTranspose", &[&grad, weights], attributes)))
}
