//! Copies of sums that the backward pass reads in place of the sums themselves.

use std::collections::HashMap;

use crate::onnx::GraphIndex;
use crate::onnx::proto::{Graph, Node};

/// A runtime fuses a sum with the norm after it if nothing else reads the sum. The backward pass reads the same sum
/// with its terms exchanged instead, so that the fusion still happens and the model's own outputs keep every bit.
///
/// Returns the guard of each such sum, and the nodes that make them.
pub fn fusion_guards(graph: &Graph, mut fresh_name: impl FnMut() -> String) -> (HashMap<&str, String>, Vec<Node>) {
    let (mut guards, mut nodes) = (HashMap::new(), Vec::new());
    let readers = GraphIndex::new(graph).readers();
    for node in graph.node.iter().filter(|n| n.op() == "Add" && n.input.len() == 2) {
        let [sum] = node.output.as_slice() else { continue };
        let normalised = matches!(
            readers.get(sum.as_str()).map(Vec::as_slice),
            Some([reader]) if graph.node[*reader].op() == "LayerNormalization"
        );
        if normalised && !graph.output.iter().any(|o| o.name() == sum) {
            let guard = fresh_name();
            let terms = [node.input[1].as_str(), &node.input[0]];
            nodes.push(Node::new("Add", guard.as_str(), &terms, &[&guard]));
            guards.insert(sum.as_str(), guard);
        }
    }
    (guards, nodes)
}
