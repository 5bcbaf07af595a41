//! Following axes from the input through every op of a model.

use std::collections::HashMap;

use super::factors::{Along, Axis, Scale, TokenGrid};
use super::layout::{FieldGeometry, TensorLayout};
use super::movement::{axis_index, cut, gathered, regrouped, rescaled, transposed};
use crate::onnx::proto::Node;
use crate::onnx::{OnnxModel, Tensors, einsum_terms};

/// The axes of every tensor that depends on the picture.
pub struct Axes<'m> {
    tensors: HashMap<&'m str, Vec<Axis>>,
    infos: &'m Tensors,
}

impl<'m> Axes<'m> {
    /// Follows the axes of `input`, which is `[N,C,h,w]` or, with `channels_last`, `[N,h,w,C]`.
    pub fn trace(model: &'m OnnxModel, infos: &'m Tensors, input: &'m str, channels_last: bool) -> Self {
        let mut axes = Self { tensors: HashMap::new(), infos };
        if let Some([n, a, b, c]) = infos.get(input).map(|t| t.shape.as_slice()) {
            let rows = |size: &usize| Axis::new(*size, Along::Rows(Scale::PIXELS));
            let columns = |size: &usize| Axis::new(*size, Along::Columns(Scale::PIXELS));
            let batch = Axis::new(*n, Along::Batch);
            let start = if channels_last {
                vec![batch, rows(a), columns(b), Axis::other(*c)]
            } else {
                vec![batch, Axis::other(*a), rows(b), columns(c)]
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

    /// The layout of the feature map that `tensor` holds. `None` if it holds none, or one of a single cell.
    pub fn layout(&self, tensor: &str) -> Option<TensorLayout> {
        let axes = self.tensors.get(tensor)?;
        let find = |wanted: &dyn Fn(&Axis) -> bool| {
            let mut found = (0..axes.len()).filter(|&index| wanted(&axes[index]));
            let first = found.next()?;
            found.next().is_none().then_some(first)
        };
        // A batch of one picture may be dropped and made anew.
        let anew = || axes.first().filter(|axis| axis.is_other() && axis.size() == 1).map(|_| 0);
        let batch = find(&|axis| axis.along() == Some(Along::Batch)).or_else(anew)?;
        let mut others = (0..axes.len()).filter(|&index| index != batch && axes[index].is_other());
        let channels = others.next().filter(|_| others.next().is_none())?;
        let (order, prefix, rows, columns) = match axes.len() {
            4 => {
                let rows = find(&|axis| matches!(axis.along(), Some(Along::Rows(_))))?;
                let columns = find(&|axis| matches!(axis.along(), Some(Along::Columns(_))))?;
                let (Some(Along::Rows(y)), Some(Along::Columns(x))) = (axes[rows].along(), axes[columns].along())
                else {
                    return None;
                };
                (vec![batch, channels, rows, columns], None, (axes[rows].size(), y), (axes[columns].size(), x))
            }
            3 => {
                let tokens = find(&|axis| axis.grid().is_some())?;
                let (prefix, TokenGrid { rows, columns }) = axes[tokens].grid()?;
                (vec![batch, channels, tokens], Some(prefix), rows, columns)
            }
            _ => return None,
        };
        let tokens = prefix.map_or(0, |prefix| axes[order[2]].size() - prefix - rows.0 * columns.0);
        let first = [rows.1.first, columns.1.first];
        let stride = [rows.1.stride, columns.1.stride];
        let layout = TensorLayout {
            order,
            prefix,
            suffix: tokens,
            channels: axes[channels].size(),
            height: rows.0,
            width: columns.0,
            geometry: FieldGeometry { first, stride },
        };
        (layout.height * layout.width > 1).then_some(layout)
    }

    /// Whether a tensor has an axis longer than 1 along rows, columns or tokens of the picture.
    pub fn has_position(&self, tensor: &str) -> bool {
        let axes = self.tensors.get(tensor);
        axes.is_some_and(|axes| axes.iter().any(|axis| axis.size() > 1 && axis.has_position()))
    }

    /// Whether `node` selects only tokens without a position from a tensor that also has tokens with one.
    pub fn drops_places(&self, node: &Node) -> bool {
        let Some(axes) = node.input.first().and_then(|i| self.tensors.get(i.as_str())) else { return false };
        let has_prefix = axes.iter().flat_map(Axis::factors).any(|factor| match factor.along {
            Along::Tokens { prefix, .. } => prefix > 0,
            _ => false,
        });
        let outputs = node.output.iter().filter_map(|output| self.tensors.get(output.as_str()));
        matches!(node.op(), "Gather" | "Slice" | "Split") && has_prefix && !outputs.flatten().any(Axis::has_position)
    }

    /// Whether `node` sums over positions with weights that depend on the picture, as attention does.
    pub fn mixes_places(&self, node: &Node) -> bool {
        let [Some(left), Some(right)] = [0, 1].map(|i| node.input.get(i).and_then(|t| self.tensors.get(t.as_str())))
        else {
            return false;
        };
        match node.op() {
            "MatMul" | "MatMulInteger" => {
                let rows = right.len().checked_sub(2).map(|index| &right[index]);
                left.last().is_some_and(Axis::has_position) || rows.is_some_and(Axis::has_position)
            }
            "Einsum" => self.terms(node).is_some_and(|(inputs, output)| {
                let sides = inputs.iter().zip([left, right]);
                sides.into_iter().any(|(term, axes)| {
                    term.chars().zip(axes).any(|(letter, axis)| !output.contains(letter) && axis.has_position())
                })
            }),
            "Attention" => true,
            _ => false,
        }
    }

    fn shape(&self, tensor: &str) -> Option<&'m [usize]> {
        self.infos.get(tensor).map(|t| t.shape.as_slice())
    }

    fn integers(&self, node: &Node, input: usize) -> Option<&'m [i64]> {
        node.input.get(input).and_then(|name| self.infos.get(name)?.integers.as_deref())
    }

    /// The axes of a node's output; `None` if its values do not depend on those of the picture.
    fn of_output(&self, node: &'m Node, number: usize) -> Option<Vec<Axis>> {
        let y = self.shape(&node.output[number])?;
        let known = |input: &'m String| Some((self.tensors.get(input.as_str())?, self.shape(input)?));
        let (first, x) = node.input.iter().find_map(known)?;
        let traced = match node.op() {
            "Shape" | "Size" => return None,
            "Conv" | "ConvInteger" | "ConvTranspose" | "MaxPool" | "AveragePool" | "LpPool" | "Resize"
            | "DepthToSpace" | "SpaceToDepth" | "Pad" => {
                rescaled(first, node, x, y, |axis, old| self.scale(node, axis, old, x, y))
            }
            "MatMul" | "MatMulInteger" => self.of_product(node, y),
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
        let fits = |axes: &Vec<Axis>| axes.len() == y.len() && axes.iter().zip(y).all(|(axis, y)| axis.size() == *y);
        Some(traced.filter(fits).unwrap_or_else(|| self.broadcast(node, y)))
    }

    /// The scale of an axis after an op that slides a window over it, resizes it or pads it.
    fn scale(&self, node: &Node, axis: usize, old: Scale, x: &[usize], y: &[usize]) -> Scale {
        if node.op() == "Pad" {
            let before = self.integers(node, 1).and_then(|pads| pads.get(axis)).map_or(0.0, |&pad| pad as f64);
            return Scale { first: old.first - before * old.stride, ..old };
        }
        if !matches!(node.op(), "Conv" | "ConvInteger" | "ConvTranspose" | "MaxPool" | "AveragePool" | "LpPool") {
            return old.grouped(x[axis] as f64 / y[axis].max(1) as f64);
        }
        let Some(spatial) = axis.checked_sub(2) else { return old };
        let of = |name: &str, default: f64| {
            node.ints(name).and_then(|values| values.get(spatial)).map_or(default, |&value| value as f64)
        };
        let weights = node.input.get(1).and_then(|weights| self.shape(weights)?.get(axis).copied());
        let reach = (of("kernel_shape", weights.unwrap_or(1) as f64) - 1.0) * of("dilations", 1.0);
        let stride = of("strides", 1.0);
        // The total of automatic padding (<https://onnx.ai/onnx/operators/onnx__Conv.html>), and that of a transposed
        // convolution with a stated shape (<https://onnx.ai/onnx/operators/onnx__ConvTranspose.html>).
        let transposed = node.op() == "ConvTranspose";
        let (long, short) = if transposed { (x[axis], y[axis]) } else { (y[axis], x[axis]) };
        let added = if transposed { of("output_padding", 0.0) } else { 0.0 };
        let missing = ((long as f64 - 1.0) * stride + reach + 1.0 + added - short as f64).max(0.0);
        let before = match node.string("auto_pad") {
            Some("SAME_UPPER") => (missing / 2.0).floor(),
            Some("SAME_LOWER") => (missing / 2.0).ceil(),
            _ if transposed && node.ints("output_shape").is_some() => (missing / 2.0).ceil(),
            _ => of("pads", 0.0),
        };
        let shift = reach / 2.0 - before;
        if transposed {
            let fine = old.stride / stride;
            return Scale { first: old.first - shift * fine, stride: fine };
        }
        Scale { first: old.first + shift * old.stride, stride: old.stride * stride }
    }

    /// An element-wise op, or an unknown one: each axis of the output runs over the same as the inputs' axes of the
    /// same length.
    fn broadcast(&self, node: &Node, y: &[usize]) -> Vec<Axis> {
        let mut axes: Vec<Axis> = y.iter().map(|&size| Axis::other(size)).collect();
        for input in node.input.iter().filter_map(|i| self.tensors.get(i.as_str())) {
            for (to, from) in axes.iter_mut().rev().zip(input.iter().rev()) {
                if to.is_other() && to.size() == from.size() {
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
        axes[row] = left.map_or_else(|| Axis::other(y[row]), |a| a[a.len() - 2].clone());
        axes[column] = right.map_or_else(|| Axis::other(y[column]), |b| b[b.len() - 1].clone());
        // A batch axis that only one matrix has is that matrix's axis.
        for (index, axis) in axes.iter_mut().enumerate().take(row) {
            let sides = [left, right].into_iter().flatten();
            let from = sides.filter_map(|axes| axes.get((index + axes.len()).checked_sub(y.len())?));
            axis.clone_from(from.filter(|axis| axis.size() == y[index]).max_by_key(|axis| !axis.is_other())?);
        }
        Some(axes)
    }

    fn of_gemm(&self, node: &Node, y: &[usize]) -> Option<Vec<Axis>> {
        let side = |input: usize, transposed: &str, index: usize| {
            let axes = self.tensors.get(node.input.get(input)?.as_str())?;
            axes.get(if node.int(transposed).unwrap_or(0) == 0 { index } else { 1 - index }).cloned()
        };
        let [rows, columns] = *y else { return None };
        Some(vec![
            side(0, "transA", 0).unwrap_or_else(|| Axis::other(rows)),
            side(1, "transB", 1).unwrap_or_else(|| Axis::other(columns)),
        ])
    }

    fn of_einsum(&self, node: &Node, y: &[usize]) -> Option<Vec<Axis>> {
        let (inputs, output) = self.terms(node)?;
        let axis = |letter: char, size: usize| {
            let terms = inputs.iter().zip(&node.input);
            let found = terms.filter_map(|(term, tensor)| {
                self.tensors.get(tensor.as_str())?.get(term.chars().position(|l| l == letter)?).cloned()
            });
            found.max_by_key(|axis| !axis.is_other()).unwrap_or_else(|| Axis::other(size))
        };
        Some(output.chars().zip(y).map(|(letter, &size)| axis(letter, size)).collect())
    }

    fn terms(&self, node: &Node) -> Option<(Vec<String>, String)> {
        let ranks = node.input.iter().map(|i| Some(self.shape(i)?.len())).collect::<Option<Vec<_>>>()?;
        einsum_terms(node, &ranks)
    }

    fn of_concat(&self, node: &Node, y: &[usize]) -> Option<Vec<Axis>> {
        let index = axis_index(node.int("axis")?, y.len())?;
        let mut axes: Vec<Option<Axis>> = vec![None; y.len()];
        let mut joined: Vec<Axis> = Vec::new();
        for input in &node.input {
            let length = *self.shape(input)?.get(index)?;
            let traced = self.tensors.get(input.as_str());
            joined.push(traced.map_or_else(|| Axis::other(length), |axes| axes[index].clone()));
            for (to, from) in axes.iter_mut().zip(traced.into_iter().flatten()) {
                if to.as_ref().is_none_or(Axis::is_other) {
                    *to = Some(from.clone());
                }
            }
        }
        let mut axes: Vec<Axis> = axes.into_iter().collect::<Option<_>>()?;
        axes[index] = Axis::concatenated(&joined);
        Some(axes)
    }

    fn of_slice(&self, node: &Node, first: &[Axis], x: &[usize], y: &[usize]) -> Vec<Axis> {
        let mut axes = cut(first, x, y);
        if let (Some(sliced), Some(steps)) = (self.integers(node, 3), self.integers(node, 4)) {
            for (axis, &step) in sliced.iter().zip(steps).filter_map(|(&a, s)| Some((axis_index(a, y.len())?, s))) {
                for factor in axes[axis].factors_mut() {
                    match &mut factor.along {
                        // Other slices take the entries in between, and are concatenated to this one.
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
            let reduced = |(axis, &y): (&Axis, &usize)| if axis.size() == y { axis.clone() } else { Axis::other(y) };
            return Some(first.iter().zip(y).map(reduced).collect());
        }
        let reduced: Vec<usize> = self.integers(node, 1)?.iter().filter_map(|&a| axis_index(a, first.len())).collect();
        Some(
            first
                .iter()
                .enumerate()
                .filter(|(index, _)| !reduced.contains(index))
                .map(|(_, axis)| axis.clone())
                .collect(),
        )
    }
}
