//! The layers that a map can be made at.

use std::fmt;

use crate::grad::axes::TensorLayout;
use crate::grad::rules::OpKind;

/// A tensor that a map can be made from.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub tensor: String,
    pub node: String,
    pub op: String,
    pub kind: OpKind,
    /// The tensor's shape in the model: `[N,C,h,w]`, `[N,h,w,C]`, or tokens.
    pub shape: Vec<usize>,
    /// Where it holds rows, columns and channels.
    pub layout: TensorLayout,
    /// The number of layers with weights (convolutions and matrix products) on the longest path from the input.
    pub depth: usize,
}

/// The layer that is explained.
#[derive(Clone, Debug)]
pub struct Target {
    pub layer: Candidate,
    pub reason: Reason,
    /// The score map that alone is explained at this layer: that of a head, which the layer enters. Other levels depend on
    /// the layer, too, by way of the neck.
    pub through: Option<String>,
}

/// Why a layer is the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Named,
    /// The model was augmented for it.
    Augmented,
    /// The method explains the input itself.
    Input,
    LastSpatial,
    LastActivation,
    LastActivationBeforeLogits,
    LastActivationBeforePooling,
    BlockBeforeFinalNorm,
    NormBeforeLastAttention,
    BlockBeforeLastAttention,
    LayerBeforeLastAttention,
    EndOfBackbone,
    EndOfSegmenterBackbone,
    InputOfNeck,
    InputOfHead,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Named => "chosen by name",
            Self::Augmented => "the model was prepared for it",
            Self::Input => "the method explains pixels",
            Self::LastSpatial => "the last layer with rows and columns before the logits",
            Self::LastActivation => "the last activation",
            Self::LastActivationBeforeLogits => "the last activation before the logits",
            Self::LastActivationBeforePooling => "the last activation before trailing pooling",
            Self::BlockBeforeFinalNorm => "the last block's output, before the final norm",
            Self::NormBeforeLastAttention => {
                "the last norm before the last attention, the only path from the tokens to the logits"
            }
            Self::BlockBeforeLastAttention => {
                "the last block before the last attention, the only path from the tokens to the logits"
            }
            Self::EndOfBackbone => "the end of the backbone, which all boxes depend on",
            Self::EndOfSegmenterBackbone => "the end of the backbone, before its map is enlarged",
            Self::InputOfNeck => "what enters the neck",
            Self::InputOfHead => "what enters the head",
            Self::LayerBeforeLastAttention => {
                "the last layer before the last attention, the only path from the tokens to the logits"
            }
        })
    }
}
