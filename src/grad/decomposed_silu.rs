//! `SiLU`s, `y = x sigmoid(x)`, that are two ops. Their gradient as one op is shorter (Elfwing, Uchibe and Doya,
//! *Sigmoid-Weighted Linear Units*, 2018).

use super::value::Value;
use crate::onnx::GraphIndex;
use crate::onnx::proto::Node;

/// The tensors of a `SiLU`.
pub struct Silu<'m> {
    pub x: &'m str,
    sigmoid: &'m str,
    y: &'m str,
}

impl<'m> Silu<'m> {
    /// The `SiLU` whose product is `node`, unless its sigmoid is `target`.
    pub fn ending_at(index: &GraphIndex<'m>, node: &'m Node, target: &str) -> Option<Self> {
        let ([first, second], [y]) = (node.input.as_slice(), node.output.as_slice()) else { return None };
        let sigmoid_of = |sigmoid: &'m str, x: &str| {
            let made_by = index.producer_node(sigmoid).filter(|made_by| made_by.op() == "Sigmoid")?;
            (sigmoid != target && made_by.input.first().is_some_and(|input| input == x)).then_some(sigmoid)
        };
        if node.op() != "Mul" {
            return None;
        }
        match (sigmoid_of(second, first), sigmoid_of(first, second)) {
            (Some(sigmoid), _) => Some(Self { x: first, sigmoid, y }),
            (None, Some(sigmoid)) => Some(Self { x: second, sigmoid, y }),
            (None, None) => None,
        }
    }

    /// `s (1 - y) + y`, `s = sigmoid(x)`. `tensor` gives the value of a tensor of the graph.
    pub fn slope<'g>(&self, tensor: impl Fn(&str) -> Value<'g>) -> Value<'g> {
        let (sigmoid, y) = (tensor(self.sigmoid), tensor(self.y));
        sigmoid * (1.0 - y) + y
    }
}
