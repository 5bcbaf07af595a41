//! What ops that move values do to the axes of a tensor.

use super::factors::{Along, Axis, Factor, Scale};
use crate::onnx::proto::Node;

/// The index of an axis that may be negative; `None` if it is out of range.
pub fn axis_index(axis: i64, rank: usize) -> Option<usize> {
    usize::try_from(if axis < 0 { axis + rank as i64 } else { axis }).ok().filter(|index| *index < rank)
}

/// The axes after an op that changes their lengths from `x` to `y`, so that rows and columns lie closer together or
/// further apart. `scale` gives the new scale of an axis by its index and old scale.
pub fn rescaled(
    axes: &[Axis],
    node: &Node,
    x: &[usize],
    y: &[usize],
    scale: impl Fn(usize, Scale) -> Scale,
) -> Option<Vec<Axis>> {
    let rescale = |(index, axis): (usize, &Axis)| match axis.along() {
        Some(Along::Rows(old)) => Axis::new(y[index], Along::Rows(scale(index, old))),
        Some(Along::Columns(old)) => Axis::new(y[index], Along::Columns(scale(index, old))),
        _ if x[index] == y[index] && !(index == 1 && node.op().starts_with("Conv")) => axis.clone(),
        _ => Axis::other(y[index]),
    };
    (axes.len() == x.len() && x.len() == y.len()).then(|| axes.iter().enumerate().map(rescale).collect())
}

/// The axes after `Transpose`.
pub fn transposed(axes: &[Axis], node: &Node) -> Option<Vec<Axis>> {
    match node.ints("perm") {
        Some(order) => order.iter().map(|&axis| axes.get(usize::try_from(axis).ok()?).cloned()).collect(),
        None => Some(axes.iter().rev().cloned().collect()),
    }
}

/// The same factors grouped into the axes of another shape, as by `Reshape`.
pub fn regrouped(axes: &[Axis], y: &[usize]) -> Option<Vec<Axis>> {
    let mut remaining: Vec<Factor> = axes.iter().flat_map(Axis::factors).rev().copied().collect();
    let mut grouped = Vec::with_capacity(y.len());
    for &length in y {
        let mut factors = Vec::new();
        let mut size = 1;
        while size < length {
            let factor = remaining.pop()?;
            let missing = length / size;
            if missing.is_multiple_of(factor.size) {
                size *= factor.size;
                factors.push(factor);
            } else {
                let (outer, inner) = factor.split(missing)?;
                size *= outer.size;
                factors.push(outer);
                remaining.push(inner);
            }
        }
        if length == 1
            && let Some(factor) = remaining.pop_if(|factor| factor.size == 1)
        {
            factors.push(factor);
        }
        grouped.push(Axis::from_factors(factors).merged());
    }
    remaining.iter().all(|factor| factor.size == 1).then_some(grouped)
}

/// The axes of a part of a tensor, whose shape is `x`, in the shape `y`.
pub fn cut(axes: &[Axis], x: &[usize], y: &[usize]) -> Vec<Axis> {
    let sizes = x.iter().zip(y);
    axes.iter().zip(sizes).map(|(axis, (x, y))| if x == y { axis.clone() } else { axis.cut(*y) }).collect()
}

/// The axes after `Gather` with indices of the given rank.
pub fn gathered(axes: &[Axis], node: &Node, index_rank: usize) -> Option<Vec<Axis>> {
    let gathered = axis_index(node.int("axis").unwrap_or(0), axes.len())?;
    // A list of indices may be a permutation of all entries; the caller compares the lengths.
    let kept = match index_rank {
        0 => vec![],
        1 => vec![axes[gathered].clone()],
        _ => return None,
    };
    Some([&axes[..gathered], &kept, &axes[gathered + 1..]].concat())
}
