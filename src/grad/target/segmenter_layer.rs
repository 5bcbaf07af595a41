//! The default target layer of a segmenter: the end of its backbone.

use super::candidate::Reason;
use super::layers::Layers;
use crate::grad::rules::OpKind;

impl Layers<'_> {
    /// The last layer of the coarsest grid before anything is enlarged: its position among the candidates, and why. Where
    /// only the scores themselves are enlarged, or nothing is, the last activation that two layers with weights follow,
    /// since after that a map repeats the scores.
    pub fn before_enlarging(&self) -> (usize, Reason) {
        let cells = |at: usize| self.candidates[at].layout.height * self.candidates[at].layout.width;
        let last = self.candidates.iter().map(|candidate| candidate.depth).max().unwrap_or(0);
        let (mut enlarged, reason) = (self.enlarged(), Reason::EndOfSegmenterBackbone);
        enlarged.retain(|(_, before)| self.candidates[*before].depth < last);
        let coarsest = enlarged.iter().map(|(_, before)| cells(*before)).min();
        let coarse = enlarged.iter().map(|(_, before)| *before).filter(|at| Some(cells(*at)) == coarsest);
        // In a net of nets, the inner ones are narrower. Of equal ones the first counts.
        let first = coarse.rev().max_by_key(|at| self.candidates[*at].layout.channels);
        if let Some(at) = first.map(|at| self.before_pool_of(at).unwrap_or(at)).or_else(|| self.before_context()) {
            return (self.before_moves(at), reason);
        }
        let early = (0..self.candidates.len()).filter(|&at| self.candidates[at].depth + 2 <= last);
        let coarse: Vec<usize> = early.collect();
        match self.last_layer(&coarse) {
            Some(at) => (self.before_moves(at), reason),
            None => self.default_layer(),
        }
    }

    /// The layer that a branch of a pyramid of poolings starts from, if a candidate is the end of such a branch: at most one
    /// layer with weights follows the pooling.
    fn before_pool_of(&self, at: usize) -> Option<usize> {
        let (mut node, mut weights) = (self.index.producer_node(&self.candidates[at].tensor)?, 0);
        while weights <= 1 {
            let before = node.input.first()?;
            if matches!(node.op(), "AveragePool" | "GlobalAveragePool" | "ReduceMean") {
                return self.candidate(before);
            }
            weights += usize::from(OpKind::of(node) == OpKind::Product);
            node = self.index.producer_node(before)?;
        }
        None
    }

    /// The layer whose mean over the whole map is laid over the map again, as in a pyramid of poolings.
    fn before_context(&self) -> Option<usize> {
        let pools = |op: &str| matches!(op, "GlobalAveragePool" | "ReduceMean");
        self.on_path().rev().filter(|(_, node)| pools(node.op())).find_map(|(_, node)| {
            let at = self.candidate(node.input.first()?)?;
            let single = node.output.first().is_some_and(|output| self.candidate(output).is_none());
            (single && self.kind(at) != OpKind::Other).then_some(at)
        })
    }
}
