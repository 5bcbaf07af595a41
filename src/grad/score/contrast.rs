//! A class against another class.

use crate::grad::graph_writer::GraphWriter;
use crate::grad::value::Value;

/// The gradient `[1,K]` of the logit of the class `against`.
pub fn other<'g>(writer: &'g GraphWriter<'g>, against: usize, classes: usize) -> Value<'g> {
    let row: Vec<f32> = (0..classes).map(|class| if class == against { 1.0 } else { 0.0 }).collect();
    writer.floats(&[1, classes as i64], &row)
}
