//! Maps of vision transformers from their attention, written as nodes of the graph.

mod augment;
mod blocks;
mod grad_eclip;
mod head_copies;
mod legrad;

pub use augment::{AttentionMap, AttentionRequest, augment_with_attention, has_attention};
