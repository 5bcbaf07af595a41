//! What the axes of a model's tensors run over: the batch, channels, or rows and columns of the
//! picture.
//!
//! Shapes alone cannot tell a map `[N,C,h,w]` from an attention matrix, nor 49 tokens from 49
//! channels. So the axes are followed from the input through every op. An axis is a number in mixed
//! radix, and what runs along it are its digits: a reshape that folds rows and columns into tokens,
//! or cuts them into windows and puts them together again, groups the same digits anew.

mod digits;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use digits::{
    Along, Axis, Digit, Grid, Scale, cut, gathered, grid, join, normal, other, regrouped, rescaled, single, size,
    transposed,
};

use super::Tensors;
use super::ops::linear::einsum_terms;
use crate::onnx::OnnxModel;
use crate::onnx::proto::Node;

/// How a tensor holds a map.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// The tensor's axes in the order batch, channels, rows, columns, or batch, channels, tokens.
    pub order: Vec<usize>,
    /// For tokens, how many stand before those of the picture.
    pub prefix: Option<usize>,
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    /// Where rows and columns lie on the model's input.
    pub place: Place,
}

/// Where the places of a map lie: row or column `i` looks at `first + i * stride`, in pixels of the model's input
/// from its edge. Strides and padding shift the middles of receptive fields, by half a place and more (Araujo,
/// Norris and Sim, *Computing Receptive Fields of Convolutional Neural Networks*, Distill 2019,
/// <https://distill.pub/2019/computing-receptive-fields>).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Of the first row and column.
    pub first: [f64; 2],
    /// Between neighbouring rows and columns.
    pub stride: [f64; 2],
}

impl Place {
    /// Of a map that lies evenly over an input of the given height and width.
    pub fn even(map: [usize; 2], input: [usize; 2]) -> Self {
        let stride = [0, 1].map(|axis| input[axis] as f64 / map[axis] as f64);
        Self { first: stride.map(|stride| stride / 2.0), stride }
    }
}

impl View {
    /// Whether the tensor is `[N,C,h,w]` as it is.
    pub fn is_plain(&self) -> bool {
        self.prefix.is_none() && self.order.is_sorted()
    }
}

/// The axes of all tensors that depend on the picture.
pub struct Axes<'m> {
    tensors: HashMap<&'m str, Vec<Axis>>,
    facts: &'m Tensors,
}

impl<'m> Axes<'m> {
    /// Follows the axes of `input`, `[N,C,h,w]` or with `channels_last` `[N,h,w,C]`, through the model.
    pub fn trace(model: &'m OnnxModel, facts: &'m Tensors, input: &'m str, channels_last: bool) -> Self {
        let mut axes = Self { tensors: HashMap::new(), facts };
        if let Some([n, a, b, c]) = facts.get(input).map(|t| t.shape.as_slice()) {
            let digit = |size: &usize, along| vec![Digit { size: *size, along }];
            let batch = digit(n, Along::Batch);
            let start = if channels_last {
                vec![batch, digit(a, Along::Rows(Scale::PIXELS)), digit(b, Along::Columns(Scale::PIXELS)), other(*c)]
            } else {
                vec![batch, other(*a), digit(b, Along::Rows(Scale::PIXELS)), digit(c, Along::Columns(Scale::PIXELS))]
            };
            axes.tensors.insert(input, start);
        }
        for node in &model.graph().node {
            for (number, output) in node.output.iter().enumerate() {
                if let Some(traced) = axes.of_output(node, number) {
                    axes.tensors.insert(output, traced);
                }
            }
        }
        axes
    }

    /// How `tensor` holds a map, or `None` where it holds none, or one of a single place.
    pub fn view(&self, tensor: &str) -> Option<View> {
        let axes = self.tensors.get(tensor)?;
        let find = |wanted: &dyn Fn(&Axis) -> bool| {
            let mut found = (0..axes.len()).filter(|&a| wanted(&axes[a]));
            let first = found.next()?;
            found.next().is_none().then_some(first)
        };
        let along = |axis: &Axis| single(axis).map(|d| d.along);
        let batch = find(&|axis| along(axis) == Some(Along::Batch))?;
        let channels = find(&|axis| axis.iter().all(|d| d.along == Along::Other))?;
        let (order, prefix, rows, columns) = match axes.len() {
            4 => {
                let rows = find(&|axis| matches!(along(axis), Some(Along::Rows(_))))?;
                let columns = find(&|axis| matches!(along(axis), Some(Along::Columns(_))))?;
                let (Some(Along::Rows(y)), Some(Along::Columns(x))) = (along(&axes[rows]), along(&axes[columns]))
                else {
                    return None;
                };
                (vec![batch, channels, rows, columns], None, (size(&axes[rows]), y), (size(&axes[columns]), x))
            }
            3 => {
                let tokens = find(&|axis| grid(axis).is_some())?;
                let (prefix, Grid { rows, columns }) = grid(&axes[tokens])?;
                (vec![batch, channels, tokens], Some(prefix), rows, columns)
            }
            _ => return None,
        };
        let view = View {
            order,
            prefix,
            channels: size(&axes[channels]),
            height: rows.0,
            width: columns.0,
            place: Place { first: [rows.1.first, columns.1.first], stride: [rows.1.stride, columns.1.stride] },
        };
        (view.height * view.width > 1).then_some(view)
    }

    /// Whether `node` takes only tokens that stand for no place out of a tensor that has both.
    pub fn drops_places(&self, node: &Node) -> bool {
        let Some(axes) = node.input.first().and_then(|i| self.tensors.get(i.as_str())) else { return false };
        let has = |axes: &Vec<Axis>, wanted: fn(&Along) -> bool| axes.iter().flatten().any(|d| wanted(&d.along));
        let prefixed = |along: &Along| matches!(along, Along::Tokens { prefix, .. } if *prefix > 0);
        let placed = |along: &Along| matches!(along, Along::Tokens { .. } | Along::Rows(_) | Along::Columns(_));
        let left = |output: &String| self.tensors.get(output.as_str()).is_some_and(|axes| has(axes, placed));
        matches!(node.op(), "Gather" | "Slice" | "Split") && has(axes, prefixed) && !node.output.iter().any(left)
    }

    /// Whether `node` sums over places with weights that come from the picture, as attention does.
    pub fn mixes_places(&self, node: &Node) -> bool {
        let [Some(left), Some(right)] = [0, 1].map(|i| node.input.get(i).and_then(|t| self.tensors.get(t.as_str())))
        else {
            return false;
        };
        let placed = |axis: &Axis| axis.iter().any(|d| !matches!(d.along, Along::Other | Along::Batch));
        match node.op() {
            "MatMul" => {
                let rows = right.len().checked_sub(2).map(|at| &right[at]);
                left.last().is_some_and(placed) || rows.is_some_and(placed)
            }
            "Einsum" => self.terms(node).is_some_and(|(inputs, output)| {
                let sides = inputs.iter().zip([left, right]);
                sides.into_iter().any(|(term, axes)| {
                    term.chars().zip(axes).any(|(letter, axis)| !output.contains(letter) && placed(axis))
                })
            }),
            "Attention" => true,
            _ => false,
        }
    }

    fn shape(&self, tensor: &str) -> Option<&'m [usize]> {
        self.facts.get(tensor).map(|t| t.shape.as_slice())
    }

    fn integers(&self, node: &Node, input: usize) -> Option<&'m [i64]> {
        node.input.get(input).and_then(|name| self.facts.get(name)?.integers.as_deref())
    }

    /// The axes of a node's output; `None` where it does not depend on the picture's numbers.
    fn of_output(&self, node: &'m Node, number: usize) -> Option<Vec<Axis>> {
        let y = self.shape(&node.output[number])?;
        let known = |input: &'m String| Some((self.tensors.get(input.as_str())?, self.shape(input)?));
        let (first, x) = node.input.iter().find_map(known)?;
        let traced = match node.op() {
            "Shape" | "Size" => return None,
            "Conv" | "ConvTranspose" | "MaxPool" | "AveragePool" | "LpPool" | "Resize" | "DepthToSpace"
            | "SpaceToDepth" | "Pad" => rescaled(first, node, x, y, |axis, old| self.scale(node, axis, old, x, y)),
            "MatMul" => self.of_product(node, y),
            "Gemm" => self.of_gemm(node, y),
            "Einsum" => self.of_einsum(node, y),
            "Transpose" => transposed(first, node),
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => regrouped(first, y),
            "Concat" => self.of_concat(node, y),
            "Slice" => Some(self.of_slice(node, first, x, y)),
            "Split" => Some(cut(first, x, y)),
            "Gather" => gathered(first, node, self.shape(node.input.get(1)?)?.len()),
            op if op.starts_with("Reduce") => self.of_reduction(node, first, y),
            _ => None,
        };
        let fits = |axes: &Vec<Axis>| axes.len() == y.len() && axes.iter().zip(y).all(|(axis, y)| size(axis) == *y);
        Some(traced.filter(fits).unwrap_or_else(|| self.broadcast(node, y)))
    }

    /// Where the entries along an axis lie behind an op that moves a window over it, resizes or pads it.
    fn scale(&self, node: &Node, axis: usize, old: Scale, x: &[usize], y: &[usize]) -> Scale {
        if node.op() == "Pad" {
            let before = self.integers(node, 1).and_then(|pads| pads.get(axis)).map_or(0.0, |&pad| pad as f64);
            return Scale { first: old.first - before * old.stride, ..old };
        }
        if !matches!(node.op(), "Conv" | "ConvTranspose" | "MaxPool" | "AveragePool" | "LpPool") {
            return old.grouped(x[axis] as f64 / y[axis].max(1) as f64);
        }
        let Some(spatial) = axis.checked_sub(2) else { return old };
        let of = |name: &str, default: f64| {
            node.ints(name).and_then(|values| values.get(spatial)).map_or(default, |&value| value as f64)
        };
        let weights = node.input.get(1).and_then(|weights| self.shape(weights)?.get(axis).copied());
        let reach = (of("kernel_shape", weights.unwrap_or(1) as f64) - 1.0) * of("dilations", 1.0);
        let stride = of("strides", 1.0);
        // What automatic padding puts on both sides (ONNX, Conv).
        let missing = ((y[axis] as f64 - 1.0) * stride + reach + 1.0 - x[axis] as f64).max(0.0);
        let before = match node.string("auto_pad") {
            Some("SAME_UPPER") => (missing / 2.0).floor(),
            Some("SAME_LOWER") => (missing / 2.0).ceil(),
            _ => of("pads", 0.0),
        };
        let shift = reach / 2.0 - before;
        if node.op() == "ConvTranspose" {
            let fine = old.stride / stride;
            return Scale { first: old.first - shift * fine, stride: fine };
        }
        Scale { first: old.first + shift * old.stride, stride: old.stride * stride }
    }

    /// Element by element, or an op that is not known here: an axis of the output is what the inputs'
    /// axes of the same length are.
    fn broadcast(&self, node: &Node, y: &[usize]) -> Vec<Axis> {
        let mut axes: Vec<Axis> = y.iter().map(|&d| other(d)).collect();
        for input in node.input.iter().filter_map(|i| self.tensors.get(i.as_str())) {
            for (to, from) in axes.iter_mut().rev().zip(input.iter().rev()) {
                let blank = to.iter().all(|d| d.along == Along::Other);
                if blank && size(to) == size(from) {
                    to.clone_from(from);
                }
            }
        }
        axes
    }

    fn of_product(&self, node: &Node, y: &[usize]) -> Option<Vec<Axis>> {
        let [left, right] = [0, 1].map(|i| node.input.get(i).and_then(|t| self.tensors.get(t.as_str())));
        let ranks = [0, 1].map(|i| node.input.get(i).and_then(|t| self.shape(t)).map_or(0, <[usize]>::len));
        if ranks[0] < 2 || ranks[1] < 2 {
            return None;
        }
        let mut axes: Vec<Axis> = self.broadcast(node, y);
        let [row, column] = [y.len() - 2, y.len() - 1];
        axes[row] = left.map_or_else(|| other(y[row]), |a| a[a.len() - 2].clone());
        axes[column] = right.map_or_else(|| other(y[column]), |b| b[b.len() - 1].clone());
        // A batch axis of a matrix that is alike for all is the other's.
        for (at, axis) in axes.iter_mut().enumerate().take(row) {
            let sides = [left, right].into_iter().flatten();
            let from = sides.filter_map(|t| t.get((at + t.len()).checked_sub(y.len())?)).filter(|a| size(a) == y[at]);
            axis.clone_from(from.max_by_key(|a| a.iter().any(|d| d.along != Along::Other))?);
        }
        Some(axes)
    }

    fn of_gemm(&self, node: &Node, y: &[usize]) -> Option<Vec<Axis>> {
        let side = |input: usize, transposed: &str, at: usize| {
            let axes = self.tensors.get(node.input.get(input)?.as_str())?;
            axes.get(if node.int(transposed).unwrap_or(0) == 0 { at } else { 1 - at }).cloned()
        };
        let [rows, columns] = *y else { return None };
        Some(vec![
            side(0, "transA", 0).unwrap_or_else(|| other(rows)),
            side(1, "transB", 1).unwrap_or_else(|| other(columns)),
        ])
    }

    fn of_einsum(&self, node: &Node, y: &[usize]) -> Option<Vec<Axis>> {
        let (inputs, output) = self.terms(node)?;
        let axis = |letter: char, size: usize| {
            let places = inputs.iter().zip(&node.input);
            let found = places.filter_map(|(term, tensor)| {
                self.tensors.get(tensor.as_str())?.get(term.chars().position(|l| l == letter)?).cloned()
            });
            found.max_by_key(|a| a.iter().any(|d| d.along != Along::Other)).unwrap_or_else(|| other(size))
        };
        Some(output.chars().zip(y).map(|(letter, &size)| axis(letter, size)).collect())
    }

    fn terms(&self, node: &Node) -> Option<(Vec<String>, String)> {
        let ranks = node.input.iter().map(|i| Some(self.shape(i)?.len())).collect::<Option<Vec<_>>>()?;
        einsum_terms(node, &ranks)
    }

    fn of_concat(&self, node: &Node, y: &[usize]) -> Option<Vec<Axis>> {
        let at = normal(node.int("axis")?, y.len())?;
        let mut axes = vec![None; y.len()];
        let mut joined: Vec<Axis> = Vec::new();
        for input in &node.input {
            let length = *self.shape(input)?.get(at)?;
            let traced = self.tensors.get(input.as_str());
            joined.push(traced.map_or_else(|| other(length), |t| t[at].clone()));
            for (to, from) in axes.iter_mut().zip(traced.into_iter().flatten()) {
                if to.as_ref().is_none_or(|axis: &Axis| axis.iter().all(|d| d.along == Along::Other)) {
                    *to = Some(from.clone());
                }
            }
        }
        let mut axes: Vec<Axis> = axes.into_iter().collect::<Option<_>>()?;
        axes[at] = join(&joined);
        Some(axes)
    }

    fn of_slice(&self, node: &Node, first: &[Axis], x: &[usize], y: &[usize]) -> Vec<Axis> {
        let mut axes = cut(first, x, y);
        if let (Some(places), Some(steps)) = (self.integers(node, 3), self.integers(node, 4)) {
            for (axis, &step) in places.iter().zip(steps).filter_map(|(&a, s)| Some((normal(a, y.len())?, s))) {
                for digit in &mut axes[axis] {
                    match &mut digit.along {
                        // Others take what lies between, and are joined to it.
                        Along::Rows(scale) | Along::Columns(scale) => {
                            *scale = scale.grouped(step.unsigned_abs() as f64);
                        }
                        _ => {}
                    }
                }
            }
        }
        axes
    }

    fn of_reduction(&self, node: &Node, first: &[Axis], y: &[usize]) -> Option<Vec<Axis>> {
        if node.int("keepdims").unwrap_or(1) != 0 {
            return Some(first.iter().zip(y).map(|(a, &d)| if size(a) == d { a.clone() } else { other(d) }).collect());
        }
        let gone: Vec<usize> = self.integers(node, 1)?.iter().filter_map(|&a| normal(a, first.len())).collect();
        Some(first.iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, a)| a.clone()).collect())
    }
}
