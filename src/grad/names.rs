//! The names that an augmented model gives its own tensors, where the model has them for something else.

use super::augment::{ACTIVATIONS, CAM, CLASS_INDEX, GRADIENTS, LOGITS};
use super::task::{Detection, Segmentation, Task};
use crate::onnx::proto::ValueInfo;
use crate::onnx::{OnnxModel, Tensors};

const OURS: [&str; 7] = [LOGITS, ACTIVATIONS, GRADIENTS, CAM, CLASS_INDEX, Detection::INDEX, Segmentation::SEED];

/// A name that no tensor of the model has.
fn free_name(model: &OnnxModel, taken: &str) -> String {
    let mut name = format!("model.{taken}");
    while model.has_tensor(&name) {
        name.push('_');
    }
    name
}

fn is_output(model: &OnnxModel, name: &str) -> bool {
    model.graph().output.iter().map(ValueInfo::name).any(|output| output == name)
}

/// Renames inner tensors of the model that have a name which `augment` gives to its own. Call it before any tensor is
/// looked up by name.
pub fn reserve_names(model: &mut OnnxModel) {
    for taken in OURS {
        if !is_output(model, taken) {
            let free = free_name(model, taken);
            model.rename_tensor(taken, &free);
        }
    }
}

/// Renames outputs of the model that have a name which `augment` gives to its own, unless they are what it would give.
/// Returns what a user should know of it.
pub fn reserve_output_names(model: &mut OnnxModel, tensors: &mut Tensors, task: &mut Task) -> Vec<String> {
    let mut notices = Vec::new();
    for taken in OURS {
        let ours = task.outputs().contains(&taken) && task.has_outputs(model, tensors);
        let unused = taken == LOGITS && task.as_detection().is_some();
        if ours || unused || !is_output(model, taken) {
            continue;
        }
        let free = free_name(model, taken);
        model.rename_tensor(taken, &free);
        task.rename(taken, &free);
        if let Some(info) = tensors.remove(taken) {
            tensors.insert(free.clone(), info);
        }
        notices.push(format!("the model's own output '{taken}' is called '{free}' beside that of whycam"));
    }
    notices
}
