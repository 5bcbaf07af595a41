//! A class against its nearest rivals. Zhang et al., *Finer-CAM: Spotting the Difference Reveals Finer Details for
//! Visual Explanation*, CVPR 2025, <https://arxiv.org/abs/2501.11309>, equation 4 with γ = 1.

use crate::grad::augment::LOGITS;
use crate::grad::graph_writer::GraphWriter;
use crate::grad::value::Value;
use crate::onnx::proto::Attribute;

/// The gradient `[N,K]` of the mean logit of the three classes whose logits are nearest to the explained one. `own`
/// `[N,K]` is 1 for the explained class.
pub fn mean<'g>(writer: &'g GraphWriter<'g>, own: Value<'g>, classes: usize) -> Value<'g> {
    const RIVALS: usize = 3;
    const FAR: f32 = 1e30;
    let logits = writer.tensor(LOGITS);
    let distance = (logits - (logits * own).sum_over(&[1])).abs() + own * FAR;
    let count = writer.int64s(&[RIVALS.min(classes.saturating_sub(1)) as i64]);
    let (_, nearest) = writer.top_k(-distance, count);
    let rows = nearest.apply("OneHot", &[writer.int64(classes as i64), writer.floats(&[2], &[0.0, 1.0])], &[]);
    rows.apply("ReduceMean", &[writer.int64s(&[1])], &[Attribute::from_int("keepdims", 0)])
}
