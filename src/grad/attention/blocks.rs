//! The blocks of a vision transformer: their attention, and the tokens that leave them.

use crate::error::{Error, Result};
use crate::grad::axes::TensorLayout;
use crate::grad::target::Layers;
use crate::onnx::proto::Node;
use crate::onnx::{OnnxModel, Tensors};

/// The attention of one block.
pub struct Attention<'m> {
    /// The position of the product of weights and values among the nodes.
    pub at: usize,
    /// After the softmax, `[N,h,n,m]` or `[N*h,n,m]`: `n` queries, and `m` keys of the picture's tokens.
    pub weights: &'m str,
    /// `[…,m,d]`
    pub values: &'m str,
    /// The product of both, `[…,n,d]`.
    pub output: &'m str,
    /// `[…,n,d]`
    pub queries: &'m str,
    /// Transposed: `[…,d,m]`
    pub keys: &'m str,
}

/// The blocks of a vision transformer, first to last.
pub struct Blocks<'m> {
    pub attention: Vec<Attention<'m>>,
    /// The tokens that leave each block, in which the class can be read as after the last one.
    pub ends: Vec<&'m str>,
    /// The layout of the tokens.
    pub layout: TensorLayout,
    /// Whether a learnt query gathers the tokens after the last block.
    pub pooled: Option<Attention<'m>>,
}

impl<'m> Blocks<'m> {
    /// # Errors
    /// The model is no vision transformer whose tokens are those of the picture all along.
    pub fn find(model: &'m OnnxModel, tensors: &Tensors, layers: &'m Layers<'m>) -> Result<Self> {
        let unknown = |problem: &str| {
            let remedy = "choose another method, such as grad-cam";
            Err(Error::Conflict(format!("{problem}, so that the map cannot be made from attention; {remedy}")))
        };
        let mut tokens = layers.candidates.iter().filter(|candidate| candidate.layout.prefix.is_some());
        let Some(layout) = tokens.next_back().map(|candidate| candidate.layout.clone()) else {
            return unknown("the model has no layer of tokens");
        };
        let count = layout.prefix.unwrap_or(0) + layout.height * layout.width + layout.suffix;
        let found = layers.on_path().filter_map(|(at, node)| attention_of(layers, at, node));
        let keys = |attention: &Attention| tensors.get(attention.weights).and_then(|info| info.shape.last().copied());
        let mut attention: Vec<Attention> = found.filter(|attention| keys(attention) == Some(count)).collect();
        let queries = |attention: &Attention| {
            tensors.get(attention.weights).and_then(|info| info.shape.iter().rev().nth(1).copied())
        };
        let pooled = if attention.last().is_some_and(|last| queries(last) == Some(1)) { attention.pop() } else { None };
        if attention.is_empty() || attention.iter().any(|attention| queries(attention) != Some(count)) {
            return unknown("the model has no attention between all tokens of the picture");
        }
        let nodes = &model.graph().node;
        let limit = pooled.as_ref().map_or(nodes.len(), |pooled| pooled.at);
        let bounds = attention.iter().skip(1).map(|next| next.at).chain([limit]);
        let mut ends = Vec::with_capacity(attention.len());
        for (own, limit) in attention.iter().zip(bounds) {
            let within = layers.on_path().filter(|(at, _)| (own.at..limit).contains(at));
            let mut sums = within.filter_map(|(_, node)| node.output.first()).filter(|tensor| {
                layers.is_residual(tensor)
                    && layers.candidate(tensor).is_some_and(|at| layers.candidates[at].layout.prefix.is_some())
            });
            let Some(end) = sums.next_back() else { return unknown("a block of the model does not end in a sum") };
            ends.push(end.as_str());
        }
        Ok(Self { attention, ends, layout, pooled })
    }
}

/// The attention that a product belongs to.
fn attention_of<'m>(layers: &'m Layers<'m>, at: usize, node: &'m Node) -> Option<Attention<'m>> {
    if node.op() != "MatMul" || !layers.axes.mixes_places(node) {
        return None;
    }
    let [weights, values] = node.input.get(..2)? else { return None };
    let mut softmax = layers.index.producer_node(weights)?;
    while matches!(softmax.op(), "Cast" | "Dropout" | "Identity" | "Reshape") {
        softmax = layers.index.producer_node(softmax.input.first()?)?;
    }
    if softmax.op() != "Softmax" {
        return None;
    }
    let mut product = layers.index.producer_node(softmax.input.first()?)?;
    while matches!(product.op(), "Add" | "Cast" | "Div" | "Identity" | "Mul" | "Reshape" | "Where") {
        let varying = layers.traced_inputs(product);
        product = layers.index.producer_node(varying.first()?)?;
    }
    let [queries, keys] = product.input.get(..2).filter(|_| product.op() == "MatMul")? else { return None };
    Some(Attention { at, weights, values, output: node.output.first()?, queries, keys })
}
