//! The layers after the last block, copied so that they read the class from the tokens of every block.

use std::collections::HashMap;

use crate::grad::task::Task;
use crate::onnx::proto::Node;
use crate::onnx::{GraphIndex, OnnxModel, Tensors};

/// A name in the copy number `copy`.
pub fn copied(tensor: &str, copy: usize) -> String {
    format!("whycam.block.{copy}.{tensor}")
}

/// Copies what follows the last of `ends` for each of the others, and describes the new tensors. The scores of block `i` are
/// then `copied(scores, i)`.
pub fn copy_heads(model: &mut OnnxModel, tensors: &mut Tensors, task: &Task, ends: &[String]) {
    let Some((last, earlier)) = ends.split_last() else { return };
    let index = GraphIndex::new(model.graph());
    let (after, before) = (index.dependents(last), index.ancestors(task.tensor()));
    let is_head = |(at, node): &(usize, &Node)| {
        before.contains(at) && node.output.iter().any(|output| after.contains(output.as_str()) && output != last)
    };
    let head: Vec<Node> = model.graph().node.iter().enumerate().filter(is_head).map(|(_, node)| node.clone()).collect();
    for (number, end) in earlier.iter().enumerate() {
        let mut names: HashMap<String, String> = HashMap::from([(last.clone(), end.clone())]);
        for node in &head {
            for output in node.output.iter().filter(|output| !output.is_empty()) {
                names.insert(output.clone(), copied(output, number));
                if let Some(info) = tensors.get(output).cloned() {
                    tensors.insert(copied(output, number), info);
                }
            }
        }
        let renamed = |name: &String| names.get(name).cloned().unwrap_or_else(|| name.clone());
        let copies = head.iter().map(|node| {
            let mut copy = node.clone();
            copy.input = node.input.iter().map(renamed).collect();
            copy.output = node.output.iter().map(renamed).collect();
            copy.name = Some(copied(node.label(), number));
            copy
        });
        let copies: Vec<Node> = copies.collect();
        model.graph_mut().node.extend(copies);
    }
}
