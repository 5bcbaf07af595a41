//! A part of a tensor, made by moves of that part alone, so that nothing else is differentiated.

use super::moves::Moves;
use crate::grad::graph_writer::GraphWriter;
use crate::grad::value::Value;
use crate::onnx::proto::Node;

/// The entries `from..to` along one axis.
#[derive(Clone, Copy)]
pub struct Part {
    pub axis: usize,
    pub from: usize,
    pub to: usize,
}

impl<'m> Moves<'m> {
    /// A part of a tensor: the moves before it are made again with that part alone. With `logits`, sigmoids and softmaxes
    /// among them are left out.
    pub fn narrowed<'w>(&self, writer: &'w GraphWriter<'w>, tensor: &str, part: Part, logits: bool) -> Value<'w> {
        let before = self.before_probability(tensor).map(|(before, _)| before).or_else(|| self.probable_factor(tensor));
        if let Some(before) = before.filter(|_| logits) {
            return self.narrowed(writer, before, part, logits);
        }
        let whole = part.from == 0 && self.shape(tensor).get(part.axis) == Some(&part.to);
        let again = self.index.producer_node(tensor).filter(|_| !whole || logits && self.leads_to_probability(tensor));
        again.and_then(|node| self.narrowed_move(writer, node, tensor, part, logits)).unwrap_or_else(|| {
            let value = if logits { self.logits(writer, tensor) } else { writer.tensor(tensor) };
            if whole { value } else { value.slice(part.from as i64, part.to as i64, part.axis as i64) }
        })
    }

    /// The part of what a move gives; `None` if the part is spread over what it takes.
    fn narrowed_move<'w>(
        &self,
        writer: &'w GraphWriter<'w>,
        node: &'m Node,
        tensor: &str,
        part: Part,
        logits: bool,
    ) -> Option<Value<'w>> {
        let first = node.input.first()?;
        let (x, y) = (self.shape(first), self.shape(tensor));
        let below = |tensor: &str, part: Part| self.narrowed(writer, tensor, part, logits);
        match node.op() {
            "Identity" | "Cast" | "Dropout" => Some(below(first, part)),
            // Probabilities are rounded to other numbers than their logits would be.
            "DequantizeLinear" | "QuantizeLinear" if logits && self.leads_to_probability(tensor) => {
                Some(below(first, part))
            }
            "Transpose" => {
                let order = node.ints("perm")?;
                let axis = usize::try_from(*order.get(part.axis)?).ok()?;
                Some(below(first, Part { axis, ..part }).transpose(order))
            }
            "Concat" => self.narrowed_concat(writer, node, part, logits),
            "Split" => {
                let (axis, before) = self.before_part(node, tensor)?;
                let length = *y.get(axis)?;
                if axis == part.axis {
                    return Some(below(first, Part { from: before + part.from, to: before + part.to, ..part }));
                }
                Some(below(first, part).slice(before as i64, (before + length) as i64, axis as i64))
            }
            "Slice" => {
                let (axis, start) = self.start_of_slice(node)?;
                if axis == part.axis {
                    return Some(below(first, Part { from: start + part.from, to: start + part.to, ..part }));
                }
                let end = start + y.get(axis)?;
                Some(below(first, part).slice(start as i64, end as i64, axis as i64))
            }
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => {
                let axis = kept_axis(x, y, part.axis)?;
                let mut shape: Vec<i64> = y.iter().map(|&length| length as i64).collect();
                shape[part.axis] = (part.to - part.from) as i64;
                if part.axis > 0 {
                    shape[0] = -1;
                }
                Some(below(first, Part { axis, ..part }).reshape(&shape))
            }
            _ => None,
        }
    }

    fn narrowed_concat<'w>(
        &self,
        writer: &'w GraphWriter<'w>,
        node: &'m Node,
        part: Part,
        logits: bool,
    ) -> Option<Value<'w>> {
        let rank = self.shape(node.input.first()?).len();
        let axis = usize::try_from(node.int("axis")?.rem_euclid(rank.max(1) as i64)).ok()?;
        let mut before = 0;
        let mut parts = Vec::new();
        for input in &node.input {
            let length = *self.shape(input).get(axis)?;
            let (from, to) = (part.from.max(before), part.to.min(before + length));
            if axis != part.axis {
                parts.push(self.narrowed(writer, input, part, logits));
            } else if from < to {
                let part = Part { from: from - before, to: to - before, ..part };
                parts.push(self.narrowed(writer, input, part, logits));
            }
            before += length;
        }
        let (first, others) = parts.split_first()?;
        Some(if others.is_empty() { *first } else { first.concat(others, axis as i64) })
    }
}

/// The axis of `x` that is the axis `axis` of `y`, its reshaped form; `None` if it is joined with others or split.
fn kept_axis(x: &[usize], y: &[usize], axis: usize) -> Option<usize> {
    let before: usize = y[..axis].iter().product();
    (0..x.len()).find(|&other| x[other] == y[axis] && x[..other].iter().product::<usize>() == before)
}
