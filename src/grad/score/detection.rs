//! The logits of detections.

use crate::grad::graph_writer::GraphWriter;
use crate::grad::task::Detection;
use crate::grad::value::Value;
use crate::onnx::proto::Attribute;

/// The gradient, in the shape of [`Detection::LOGITS`], of the sum of the logits of the explained detections: 1 at their
/// entries, 0 elsewhere.
pub fn seed<'g>(writer: &'g GraphWriter<'g>, detection: &Detection) -> Value<'g> {
    let asked = writer.tensor(Detection::INDEX);
    let best = best(writer, detection);
    let wanted = writer.emit_as(Detection::ENTRIES, "Where", &[asked.less(writer.int64(0)), best, asked], &[]);
    let logits = writer.tensor(Detection::LOGITS);
    // A model that chooses takes one picture, and may have another number of entries in each run.
    let row = if detection.chosen { [1, -1] } else { [-1, detection.entries as i64] };
    let zeros = writer.scalar(0.0).expand(logits.reshape(&row).shape());
    let ones = writer.scalar(1.0).expand(wanted.shape());
    let row = zeros.apply("ScatterElements", &[wanted, ones], &[Attribute::from_int("axis", 1)]);
    row.reshape_to(logits.shape())
}

/// The entry of the detection with the highest score of each picture, `[N,1]`.
fn best<'g>(writer: &'g GraphWriter<'g>, detection: &Detection) -> Value<'g> {
    let scores = writer.tensor(Detection::SCORES);
    let first = |scores: Value<'g>| scores.apply("ArgMax", &[], &[Attribute::from_int("axis", 1)]);
    if detection.chosen {
        // One more entry, where a model chooses none at all.
        let scores = scores.concat(&[writer.floats(&[1, 1], &[-1.0])], 1);
        let entries = writer.tensor(Detection::INDICES).concat(&[writer.floats(&[1, 1], &[0.0])], 1);
        let entry = entries.apply("GatherElements", &[first(scores)], &[Attribute::from_int("axis", 1)]);
        return entry.to_int64();
    }
    let columns = detection.columns();
    let counts: Vec<f32> = (0..columns).map(|column| f32::from(detection.class_of(column).is_some())).collect();
    first((scores * writer.floats(&[columns as i64], &counts)).reshape(&[-1, detection.entries as i64]))
}
