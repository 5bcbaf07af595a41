//! Convolution.

use crate::error::Result;
use crate::grad::value::Value;
use crate::grad::vjp::{Gradient, Vjp};
use crate::onnx::proto::{Attribute, Node};

/// The window of a convolution or pooling node, with one number per spatial axis.
pub struct ConvWindow {
    pub kernel: Vec<i64>,
    pub strides: Vec<i64>,
    pub dilations: Vec<i64>,
    pub pads_begin: Vec<i64>,
    pub pads_end: Vec<i64>,
}

impl ConvWindow {
    /// Reads a node's window and resolves `auto_pad` (<https://onnx.ai/onnx/operators/onnx__Conv.html>). `x` and
    /// `y` are spatial sizes.
    pub fn of(node: &Node, kernel: Vec<i64>, x: &[usize], y: &[usize]) -> Self {
        let axes = kernel.len();
        let ints = |name: &str| node.ints(name).map_or_else(|| vec![1; axes], <[i64]>::to_vec);
        let (strides, dilations) = (ints("strides"), ints("dilations"));
        let mut window = Self { kernel, strides, dilations, pads_begin: vec![0; axes], pads_end: vec![0; axes] };
        match node.string("auto_pad").unwrap_or("NOTSET") {
            "VALID" => {}
            same @ ("SAME_UPPER" | "SAME_LOWER") => {
                for axis in 0..axes {
                    let total = (window.reach(axis, y[axis]) - x[axis] as i64).max(0);
                    let (less, more) = (total / 2, total - total / 2);
                    (window.pads_begin[axis], window.pads_end[axis]) =
                        if same == "SAME_UPPER" { (less, more) } else { (more, less) };
                }
            }
            _ => {
                if let Some(pads) = node.ints("pads").filter(|pads| pads.len() == 2 * axes) {
                    (window.pads_begin, window.pads_end) = (pads[..axes].to_vec(), pads[axes..].to_vec());
                }
            }
        }
        window
    }

    /// The length that `count` windows cover along an axis, pads included.
    fn reach(&self, axis: usize, count: usize) -> i64 {
        (count as i64 - 1) * self.strides[axis] + (self.kernel[axis] - 1) * self.dilations[axis] + 1
    }

    /// Those at the beginning of each axis, then those at its end.
    pub fn pads(&self) -> Vec<i64> {
        [self.pads_begin.as_slice(), &self.pads_end].concat()
    }

    /// The transposed convolution of `gradient`, of `y`'s size, back to `x`'s size.
    pub fn transposed<'g>(
        &self,
        gradient: Value<'g>,
        weights: Value<'g>,
        group: i64,
        x: &[usize],
        y: &[usize],
    ) -> Value<'g> {
        // How far the windows extend past x and its pads at the end: negative where no window covers the last
        // positions of x, positive where ceil_mode lets a window extend further.
        let over = |axis| self.reach(axis, y[axis]) - self.pads_begin[axis] - self.pads_end[axis] - x[axis] as i64;
        let over: Vec<i64> = (0..x.len()).map(over).collect();
        let pads_end: Vec<i64> = self.pads_end.iter().zip(&over).map(|(pad, over)| pad + over.max(&0)).collect();
        let output_padding: Vec<i64> = over.iter().map(|over| (-over).max(0)).collect();
        let attributes = [
            Attribute::from_ints("strides", &self.strides),
            Attribute::from_ints("dilations", &self.dilations),
            Attribute::from_ints("pads", &[self.pads_begin.as_slice(), &pads_end].concat()),
            Attribute::from_ints("output_padding", &output_padding),
            Attribute::from_int("group", group),
        ];
        gradient.apply("ConvTranspose", &[weights], &attributes)
    }

    /// The pads of the convolution that leads back from `y`, stretched by the strides, to the size of `x`; `None` if one is
    /// negative.
    fn reversed_pads(&self, x: &[usize], y: &[usize]) -> Option<Vec<i64>> {
        let begin = |axis: usize| self.reach(axis, 1) - 1 - self.pads_begin[axis];
        let end = |axis: usize| x[axis] as i64 - y[axis] as i64 * self.strides[axis] + self.pads_begin[axis];
        let pads: Vec<i64> = (0..x.len()).map(begin).chain((0..x.len()).map(end)).collect();
        pads.iter().all(|&pad| pad >= 0).then_some(pads)
    }

    /// `y` with zeros in between, as many as the strides skip.
    fn stretched<'g>(&self, vjp: Vjp<'g>, y: Value<'g>) -> Value<'g> {
        let axes = self.strides.len() as i64;
        let lengths = y.shape().slice(2, 2 + axes, 0);
        let ones = vjp.writer.scalar(1.0).expand(vjp.int64s(&[1, 1]).concat(&[lengths], 0));
        let mut first = vec![0.0; self.strides.iter().product::<i64>() as usize];
        first[0] = 1.0;
        let first = vjp.writer.floats(&[&[1, 1], self.strides.as_slice()].concat(), &first);
        let mask = ones.apply("ConvTranspose", &[first], &[Attribute::from_ints("strides", &self.strides)]);
        y.repeated(&self.strides) * mask
    }
}

/// `y = w * x + b`: `dx = wᵀ * dy`, the transposed convolution with the same window and the output padding that
/// restores the size of `x`; `dw = x * dy` with strides and dilations exchanged; `db = Σ dy`. With a stride of 1,
/// `dx` is the convolution with the reversed weights, which runtimes compute faster; and so where each channel is convolved
/// alone, of `dy` with zeros in between.
///
/// <https://onnx.ai/onnx/operators/onnx__Conv.html>, opset 1 on; Dumoulin and Visin, *A guide to convolution
/// arithmetic for deep learning*, 2016. `x` is `[N,C,…]`, `w` is `[M,C/group,…]`.
pub fn conv(vjp: Vjp) -> Gradient {
    let dy = vjp.dy()?;
    let axes = vjp.operand_shape(0)?.len() as i64;
    Ok(Some(match vjp.input {
        0 => input_gradient(vjp, dy, vjp.operand(1)?)?,
        1 => weights(vjp, &window_of(vjp)?, dy, vjp.int("group", 1))?,
        _ => dy.sum_away(&(0..axes).filter(|axis| *axis != 1).collect::<Vec<_>>()),
    }))
}

fn window_of(vjp: Vjp) -> Result<ConvWindow> {
    let kernel = vjp.operand_shape(1)?[2..].iter().map(|&k| k as i64).collect();
    Ok(ConvWindow::of(vjp.node, kernel, &vjp.operand_shape(0)?[2..], &vjp.y_shape()?[2..]))
}

/// `wᵀ * dy` for any weights of the shape of the convolution's own.
pub fn input_gradient<'g>(vjp: Vjp<'g>, dy: Value<'g>, weights: Value<'g>) -> Result<Value<'g>> {
    let (x, y) = (&vjp.operand_shape(0)?[2..], &vjp.y_shape()?[2..]);
    let (window, group) = (window_of(vjp)?, vjp.int("group", 1));
    let dense = window.strides.iter().all(|&stride| stride == 1);
    // ONNX Runtime transposes the convolution of each group by itself, which takes several times as long as one convolution of
    // up to four times as many numbers. The zeros between them make no number of an infinite one.
    let [channels, of_group, ..] = *vjp.operand_shape(1)? else { return Err(vjp.error("its weights lack axes")) };
    let depthwise = (channels as i64, of_group) == (group, 1);
    let stretches = depthwise && window.strides.iter().product::<i64>() <= 4 && !vjp.infinite;
    match window.reversed_pads(x, y) {
        Some(pads) if dense => reversed(vjp, &window, dy, weights, &pads),
        Some(pads) if stretches => reversed(vjp, &window, window.stretched(vjp, dy), weights, &pads),
        _ => Ok(window.transposed(dy, weights, group, x, y)),
    }
}

/// The convolution of `dy` with the weights `[M,C/group,…]`, reversed along their spatial axes and with their
/// channel axes exchanged.
fn reversed<'g>(
    vjp: Vjp<'g>,
    window: &ConvWindow,
    dy: Value<'g>,
    mut weights: Value<'g>,
    pads: &[i64],
) -> Result<Value<'g>> {
    let group = vjp.int("group", 1);
    let spatial = window.kernel.as_slice();
    let shape = vjp.operand_shape(1)?;
    let (m, c) = (shape[0] as i64, shape[1] as i64);
    let long: Vec<i64> = (2..).zip(spatial).filter(|(_, size)| **size > 1).map(|(axis, _)| axis).collect();
    if !long.is_empty() {
        let bounds = [vec![-1; long.len()], vec![i64::MIN; long.len()], long.clone(), vec![-1; long.len()]];
        weights = weights.apply("Slice", &bounds.map(|values| vjp.int64s(&values)), &[]);
    }
    let exchanged: Vec<i64> = [0, 2, 1].into_iter().chain(3..3 + spatial.len() as i64).collect();
    let weights = weights
        .reshape(&[&[group, m / group, c], spatial].concat())
        .transpose(&exchanged)
        .reshape(&[&[group * c, m / group], spatial].concat());
    let attributes = [
        Attribute::from_ints("dilations", &window.dilations),
        Attribute::from_ints("pads", pads),
        Attribute::from_int("group", group),
    ];
    Ok(dy.apply("Conv", &[weights], &attributes))
}

/// The gradient of the weights `[M,C/group,…]`.
fn weights<'g>(vjp: Vjp<'g>, window: &ConvWindow, dy: Value<'g>, group: i64) -> Result<Value<'g>> {
    let (x, y, kernel) = (vjp.operand_shape(0)?, vjp.y_shape()?, vjp.operand_shape(1)?);
    let spatial = |shape: &[usize]| shape[2..].iter().map(|&d| d as i64).collect::<Vec<_>>();
    let (x_spatial, y_spatial) = (spatial(x), spatial(y));
    let axes = window.kernel.len() as i64;
    let order = |first: [i64; 3]| first.into_iter().chain(3..3 + axes).collect::<Vec<_>>();
    let (batch, c, m) = (x[0] as i64, kernel[1] as i64, kernel[0] as i64);
    // [N,g·c,…] to [c,g·N,…].
    let input = vjp
        .operand(0)?
        .reshape(&[&[batch, group, c], x_spatial.as_slice()].concat())
        .transpose(&order([2, 1, 0]))
        .reshape(&[&[c, group * batch], x_spatial.as_slice()].concat());
    // [N,g·m,…] to [g·m,N,…].
    let slid = dy
        .reshape(&[&[batch, group, m / group], y_spatial.as_slice()].concat())
        .transpose(&order([1, 2, 0]))
        .reshape(&[&[m, batch], y_spatial.as_slice()].concat());
    let attributes = [
        Attribute::from_ints("strides", &window.dilations),
        Attribute::from_ints("dilations", &window.strides),
        Attribute::from_ints("pads", &window.pads()),
        Attribute::from_int("group", group),
    ];
    let product = input.apply("Conv", &[slid], &attributes);
    // If the stride skips the last positions of x, the product is longer than the kernel.
    let spatial_axes: Vec<i64> = (2..2 + axes).collect();
    let bounds = [&vec![0; window.kernel.len()], &window.kernel, &spatial_axes].map(|values| vjp.int64s(values));
    Ok(product.apply("Slice", &bounds, &[]).transpose(&[&[1, 0], spatial_axes.as_slice()].concat()))
}

/// `y = wᵀ * x + b`, `dx = w * dy`, the convolution that the op transposes.
///
/// <https://onnx.ai/onnx/operators/onnx__ConvTranspose.html>, opset 1 on. `x` is `[N,C,…]`, `w` is
/// `[C,M/group,…]`.
pub fn conv_transpose(vjp: Vjp) -> Gradient {
    if vjp.input != 0 {
        return Err(vjp.unsupported("its weights"));
    }
    let mut dy = vjp.dy()?;
    let mut window = transposed_window(vjp)?;
    if window.pads_end.iter().any(|&pad| pad < 0) {
        let cut = window.pads_end.iter().map(|&pad| pad.min(0));
        let pads: Vec<i64> = vec![0; 2 + window.kernel.len() + 2].into_iter().chain(cut).collect();
        dy = dy.apply("Pad", &[vjp.int64s(&pads)], &[]);
        window.pads_end.iter_mut().for_each(|pad| *pad = (*pad).max(0));
    }
    let attributes = [
        Attribute::from_ints("strides", &window.strides),
        Attribute::from_ints("dilations", &window.dilations),
        Attribute::from_ints("pads", &window.pads()),
        Attribute::from_int("group", vjp.int("group", 1)),
    ];
    Ok(Some(dy.apply("Conv", &[vjp.operand(1)?], &attributes)))
}

/// The window of a transposed convolution. A negative pad at the end is what `output_padding` added there.
fn transposed_window(vjp: Vjp) -> Result<ConvWindow> {
    let auto_pad = vjp.node.string("auto_pad").unwrap_or("NOTSET");
    let (x, y) = (&vjp.operand_shape(0)?[2..], &vjp.y_shape()?[2..]);
    let mut window = window_of(vjp)?;
    let size_given = auto_pad.starts_with("SAME") || vjp.node.ints("output_shape").is_some();
    for axis in 0..x.len() {
        let reach = window.reach(axis, x[axis]);
        if size_given {
            // The node fixes the output's size, and the pads follow from it.
            let extra = vjp.node.ints("output_padding").and_then(|p| p.get(axis)).copied().unwrap_or(0);
            let total = (reach + extra - y[axis] as i64).max(0);
            window.pads_begin[axis] = if auto_pad == "SAME_UPPER" { total / 2 } else { total - total / 2 };
        }
        window.pads_end[axis] = reach - window.pads_begin[axis] - y[axis] as i64;
    }
    Ok(window)
}
