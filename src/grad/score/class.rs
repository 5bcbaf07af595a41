//! The logit of one class of each picture.

use crate::grad::augment::{CLASS_INDEX, LOGITS};
use crate::grad::graph_writer::GraphWriter;
use crate::grad::value::Value;
use crate::onnx::proto::Attribute;

/// The number of ranks of likeliest classes that a run can explain.
pub const MOST_RANKS: usize = 9;

/// The gradient `[N,K]` of the logit of the explained class: 1 for this class, 0 for the others.
pub fn seed<'g>(writer: &'g GraphWriter<'g>, classes: usize) -> Value<'g> {
    writer.one_hot(explained(writer, classes), classes)
}

/// The explained class of each picture, `[N]`: the one in the input `class_index`, or the predicted one where that is
/// -1. With several classes of one picture, -1, -2 and so on are ranks.
fn explained<'g>(writer: &'g GraphWriter<'g>, classes: usize) -> Value<'g> {
    let (asked, logits) = (writer.tensor(CLASS_INDEX), writer.tensor(LOGITS));
    let zero = writer.int64(0);
    let unasked = asked.less(zero);
    if !writer.batched_classes {
        let attributes = [Attribute::from_int("axis", 1), Attribute::from_int("keepdims", 0)];
        return unasked.choose(logits.apply("ArgMax", &[], &attributes), asked);
    }
    let (_, ranking) = writer.top_k(logits, writer.int64s(&[classes.min(MOST_RANKS) as i64]));
    let rank = writer.int64(-1) - asked;
    let ranked = ranking.reshape(&[-1]).apply("Gather", &[rank.max(zero)], &[]);
    unasked.choose(ranked, asked)
}
