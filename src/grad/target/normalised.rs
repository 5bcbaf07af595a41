//! Recognising norms, whether one node or, as older exporters write them, several.

use super::layers::Layers;
use crate::grad::rules::OpKind;
use crate::onnx::proto::Node;

impl<'m> Layers<'m> {
    /// The tensor that `tensor` is the normalised form of.
    pub fn normalised(&self, tensor: &str) -> Option<&'m str> {
        let mut node = self.index.producer_node(tensor)?;
        loop {
            let traced = self.traced_inputs(node);
            let before = match (node.op(), traced.as_slice()) {
                (_, [x, ..]) if OpKind::of(node) == OpKind::Norm => return Some(self.unmoved(x)),
                ("Add" | "Div" | "Mul" | "Sub", [x]) | ("Cast" | "Reshape", [x, ..]) => x,
                ("Div" | "Mul", [a, b]) => {
                    let [left, right] = [a, b].map(|t| self.index.producer_node(t));
                    if let Some(x) = [left, right].into_iter().flatten().find_map(|n| self.centred(n)) {
                        return Some(self.unmoved(x));
                    }
                    let by_size =
                        [(a, right), (b, left)].into_iter().find(|(x, n)| n.is_some_and(|n| self.is_size_of(n, x)));
                    return by_size.map(|(x, _)| self.unmoved(x));
                }
                _ => return None,
            };
            node = self.index.producer_node(before)?;
        }
    }

    /// `x` of `x - mean(x)`.
    fn centred(&self, node: &'m Node) -> Option<&'m str> {
        let [x, mean] = node.input.get(..2)? else { return None };
        let mean = self.index.producer_node(mean)?;
        let own = node.op() == "Sub" && mean.op() == "ReduceMean" && mean.input.first() == Some(x);
        own.then_some(x.as_str())
    }

    /// Whether a node computes the root of the mean square of `x`, or its reciprocal.
    fn is_size_of(&self, node: &'m Node, x: &str) -> bool {
        const LONGEST: usize = 6;
        let mut node = node;
        for _ in 0..LONGEST {
            if node.op() == "ReduceMean" {
                let square = node.input.first().and_then(|i| self.index.producer_node(i));
                return square.is_some_and(|n| n.input.first().is_some_and(|i| i == x));
            }
            let traced = self.traced_inputs(node);
            let Some(before) = traced.first().and_then(|i| self.index.producer_node(i)) else { return false };
            node = before;
        }
        false
    }

    /// The tensor before casts and changes of shape.
    fn unmoved(&self, tensor: &'m str) -> &'m str {
        let mut tensor = tensor;
        while let Some(node) = self.index.producer_node(tensor)
            && matches!(node.op(), "Cast" | "Reshape" | "Transpose")
            && let Some(before) = node.input.first().filter(|before| self.candidate(before).is_some())
        {
            tensor = before;
        }
        tensor
    }
}
