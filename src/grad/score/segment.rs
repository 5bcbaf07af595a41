//! The logits of a class at the cells that are predicted as it.

use crate::grad::augment::{CLASS_INDEX, LOGITS};
use crate::grad::graph_writer::GraphWriter;
use crate::grad::task::{Probability, Segmentation};
use crate::grad::value::Value;
use crate::onnx::proto::Attribute;

/// The gradient, in the layout of the logits, of the sum of the logits of the explained class over the cells that are
/// predicted as this class: 1 at these numbers, 0 elsewhere. Where the input `class_index` is -1, it is the class with the
/// most cells.
pub fn seed<'g>(writer: &'g GraphWriter<'g>, segmentation: &Segmentation) -> Value<'g> {
    let classes = segmentation.classes as i64;
    let predicted = predicted(writer, segmentation);
    let cells = predicted.sum_away(&[2, 3]);
    let axis = [Attribute::from_int("axis", 1), Attribute::from_int("keepdims", 0)];
    let (asked, most) = (writer.tensor(CLASS_INDEX), cells.apply("ArgMax", &[], &axis));
    let class = asked.less(writer.int64(0)).choose(most, asked);
    let own = writer.one_hot(class, segmentation.classes).reshape(&[-1, classes, 1, 1]);
    let seed = writer.emit_as(Segmentation::SEED, "Mul", &[predicted, own], &[]);
    if segmentation.channels_last { seed.transpose(&[0, 2, 3, 1]) } else { seed }
}

/// 1 where a cell is predicted as a class, else 0: `[N,K,h,w]`.
fn predicted<'g>(writer: &'g GraphWriter<'g>, segmentation: &Segmentation) -> Value<'g> {
    let logits = writer.tensor(LOGITS);
    if segmentation.probability == Probability::Sigmoid {
        return logits.greater(0.0).to_float();
    }
    let best = logits.apply("ArgMax", &[], &[Attribute::from_int("axis", 1), Attribute::from_int("keepdims", 1)]);
    let numbers: Vec<i64> = (0..segmentation.classes as i64).collect();
    best.equals(writer.int64s(&numbers).reshape(&[1, -1, 1, 1])).to_float()
}
