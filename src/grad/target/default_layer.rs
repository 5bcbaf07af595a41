//! The default target layer.

use std::collections::HashSet;

use super::candidate::Reason;
use super::layers::Layers;
use crate::grad::rules::OpKind;
use crate::onnx::proto::Node;

impl Layers<'_> {
    /// The default layer: its position among the candidates, and why.
    pub fn default_layer(&self) -> (usize, Reason) {
        self.before_class_token().unwrap_or_else(|| self.before_pooling())
    }

    /// The last activation before trailing pooling. A norm after a residual sum leads back to the sum, the last block's
    /// output.
    fn before_pooling(&self) -> (usize, Reason) {
        let mut at = self.last_whole_layer();
        let mut reason = Reason::LastSpatial;
        while let Some(node) = self.index.producer_node(&self.candidates[at].tensor) {
            if let Some(sum) = self.normalised(&self.candidates[at].tensor).filter(|x| self.is_residual(x))
                && let Some(earlier) = self.candidate(sum)
            {
                (at, reason) = (earlier, Reason::BlockBeforeFinalNorm);
                continue;
            }
            let Some(earlier) = self.float_input(node) else { break };
            let activated = self.kind(earlier) == OpKind::Activation;
            match OpKind::of(node) {
                OpKind::Pooling => reason = Reason::LastActivationBeforePooling,
                OpKind::Norm if node.op() == "BatchNormalization" && activated => reason = Reason::LastActivation,
                OpKind::Quantising if activated || self.kind(earlier) == OpKind::Pooling => {}
                OpKind::Transparent | OpKind::Layout => {}
                _ => break,
            }
            at = earlier;
        }
        if self.kind(at) == OpKind::Activation && reason == Reason::LastSpatial {
            reason = Reason::LastActivationBeforeLogits;
        }
        (at, reason)
    }

    /// The last candidate, or the last bottleneck of the same grid: the logits see all of it, and not one branch alone.
    fn last_whole_layer(&self) -> usize {
        let last = self.candidates.len() - 1;
        let grid = |at: usize| (self.candidates[at].layout.height, self.candidates[at].layout.width);
        let bottlenecks = self.bottlenecks();
        let whole = (0..=last).rev().find(|&at| bottlenecks.contains(self.candidates[at].tensor.as_str()));
        whole.filter(|&at| grid(at) == grid(last)).unwrap_or(last)
    }

    /// The candidate that a node reads. Quantised numbers are no candidate; the numbers that they stand for are.
    fn float_input(&self, node: &Node) -> Option<usize> {
        let before = node.input.first()?;
        let quantiser = || self.index.producer_node(before).filter(|n| OpKind::of(n) == OpKind::Quantising);
        self.candidate(before).or_else(|| self.candidate(quantiser()?.input.first()?))
    }

    /// Where only a class token, or the result of a learnt query, reaches the logits, the patches get their gradient
    /// through the last attention alone. The target is then the norm before it (the convention of pytorch-grad-cam).
    fn before_class_token(&self) -> Option<(usize, Reason)> {
        let (mixing, _) = self.on_path().rfind(|(_, node)| self.axes.mixes_places(node))?;
        let before = self.index.ancestors(self.model.graph().node[mixing].output.first()?);
        let last = self.index.producer(&self.candidates.last()?.tensor)?;
        let dropping = self.on_path().filter(|(_, node)| self.axes.drops_places(node));
        let dropping: HashSet<usize> = dropping.map(|(index, _)| index).collect();
        let dropped = !dropping.is_empty() && !self.reaches_the_scores(last, &dropping);
        // A learnt query attends to all cells, and no token stands for it.
        if !dropped && !before.contains(&last) {
            return None;
        }
        let attended = |at: usize| {
            let producer = self.index.producer(&self.candidates[at].tensor);
            producer.is_some_and(|index| before.contains(&index))
        };
        let moved = |at: usize| matches!(self.kind(at), OpKind::Layout | OpKind::Transparent);
        let tokens: Vec<usize> = (0..self.candidates.len()).rev().filter(|&at| attended(at) && !moved(at)).collect();
        let tensor = |at: usize| self.candidates[at].tensor.as_str();
        if let Some(&norm) = tokens.iter().find(|&&at| self.normalised(tensor(at)).is_some()) {
            return Some((norm, Reason::NormBeforeLastAttention));
        }
        let ends_a_block = |at: usize| self.is_residual(tensor(at)) || self.kind(at) == OpKind::Activation;
        if let Some(&block) = tokens.iter().find(|&&at| ends_a_block(at)) {
            return Some((block, Reason::BlockBeforeLastAttention));
        }
        Some((*tokens.first()?, Reason::LayerBeforeLastAttention))
    }
}
