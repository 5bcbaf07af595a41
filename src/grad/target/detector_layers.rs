//! The layers of a detector: the end of the backbone, what enters the neck, and what enters the heads.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use super::candidate::Reason;
use super::layers::Layers;
use crate::grad::rules::OpKind;
use crate::grad::task::{Detection, score_maps};
use crate::grad::window::cut_branch;
use crate::onnx::Tensors;

/// A part of a detector that a caller can name in place of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetectorPart {
    /// The last layer of the backbone, which all boxes depend on.
    Backbone,
    /// The last layer of each grid before the grids are mixed.
    Neck,
    /// The last layer of each grid that both boxes and classes are made from.
    Head,
}

impl DetectorPart {
    /// The name of [`DetectorPart::Backbone`].
    pub const BACKBONE: &str = "backbone";

    /// The part of this name: `backbone`, `neck` or `head`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            Self::BACKBONE => Some(Self::Backbone),
            "neck" => Some(Self::Neck),
            "head" => Some(Self::Head),
            _ => None,
        }
    }

    fn reason(self) -> Reason {
        match self {
            Self::Backbone => Reason::EndOfBackbone,
            Self::Neck => Reason::InputOfNeck,
            Self::Head => Reason::InputOfHead,
        }
    }
}

/// How many cells around a box, in each direction, the input of a head should see: with fewer a map is a cell or a few, with
/// more it covers mostly what lies beside a small box.
const SEEN: RangeInclusive<usize> = 2..=4;

impl Layers<'_> {
    /// The layers of a part of a detector, fine to coarse: their positions among the candidates, why, and for the input of a
    /// head its score map.
    pub fn of_part(&self, part: DetectorPart, tensors: &Tensors) -> Vec<(usize, Reason, Option<&str>)> {
        let maps = score_maps(self.model, tensors);
        let enlarged = self.enlarged();
        let backbone = self.end_of_backbone(&maps, &enlarged);
        let found: Vec<(usize, Option<&str>)> = match part {
            DetectorPart::Backbone => Vec::new(),
            DetectorPart::Neck => self.inputs_of_neck(backbone.0, &enlarged).into_iter().map(|at| (at, None)).collect(),
            DetectorPart::Head => self.inputs_of_heads(&maps),
        };
        if found.is_empty() {
            return vec![(backbone.0, backbone.1, None)];
        }
        found.into_iter().map(|(at, map)| (at, part.reason(), map)).collect()
    }

    /// The nodes that enlarge a feature map, with the positions of what they enlarge, first to last.
    pub(super) fn enlarged(&self) -> Vec<(usize, usize)> {
        let enlarges = |index: usize| {
            let node = &self.model.graph().node[index];
            let before = self.candidate(node.input.first()?)?;
            let after = self.candidate(node.output.first()?)?;
            let [small, large] = [before, after].map(|at| &self.candidates[at]);
            let larger = large.layout.height > small.layout.height || large.layout.width > small.layout.width;
            // A picture that the model itself resizes is no feature map.
            (matches!(node.op(), "Resize" | "ConvTranspose") && larger && small.depth > 0).then_some((index, before))
        };
        self.on_path().filter_map(|(index, _)| enlarges(index)).collect()
    }

    /// What is enlarged first, or else the last layer that all score maps depend on.
    fn end_of_backbone(&self, maps: &[&str], enlarged: &[(usize, usize)]) -> (usize, Reason) {
        if let Some((_, before)) = enlarged.first() {
            return (self.before_moves(*before), Reason::EndOfBackbone);
        }
        let of_maps = maps.iter().all(|map| self.candidate(map).is_some());
        if !of_maps || maps.is_empty() {
            return self.default_layer();
        }
        let ancestors: Vec<HashSet<usize>> = maps.iter().map(|map| self.index.ancestors(map)).collect();
        let shared = (0..self.candidates.len()).filter(|&at| {
            let tensor = self.candidates[at].tensor.as_str();
            let made_by = self.index.producer(tensor);
            !maps.contains(&tensor) && made_by.is_some_and(|node| ancestors.iter().all(|of| of.contains(&node)))
        });
        let shared: Vec<usize> = shared.collect();
        match self.last_layer(&shared) {
            Some(at) => (self.before_moves(at), Reason::EndOfBackbone),
            None => self.default_layer(),
        }
    }

    /// The last layer of each grid that does not depend on an enlarged map, as fine as the score maps or finer than the
    /// end of the backbone.
    fn inputs_of_neck(&self, backbone: usize, enlarged: &[(usize, usize)]) -> Vec<usize> {
        let Some((first, _)) = enlarged.first() else { return Vec::new() };
        let nodes = &self.model.graph().node;
        // What enters the neck at a finer grid is read together with an enlarged map.
        let mut mixed: HashSet<&str> = nodes[*first].output.iter().map(String::as_str).collect();
        let mut entering: Vec<usize> = vec![backbone];
        let later: HashSet<usize> = enlarged.iter().map(|(index, _)| *index).collect();
        for (index, node) in self.on_path() {
            let of_mixed = node.input.iter().any(|input| mixed.contains(input.as_str()));
            if !(of_mixed || later.contains(&index)) {
                continue;
            }
            mixed.extend(node.output.iter().map(String::as_str));
            let fresh = node.input.iter().filter(|input| !mixed.contains(input.as_str()));
            entering.extend(fresh.filter_map(|input| self.candidate(input)).map(|at| self.before_moves(at)));
        }
        entering.sort_unstable();
        entering.dedup();
        let grid = |at: usize| (self.candidates[at].layout.height, self.candidates[at].layout.width);
        let last_of_grid = |at: &usize| entering.iter().all(|other| other <= at || grid(*other) != grid(*at));
        let mut last: Vec<usize> = entering.iter().copied().filter(last_of_grid).collect();
        last.sort_by_key(|&at| std::cmp::Reverse(grid(at)));
        last
    }

    /// For each score map, the last layer of its grid that the boxes depend on as well; with the map, unless it shares the
    /// layer with another one.
    fn inputs_of_heads(&self, maps: &[&str]) -> Vec<(usize, Option<&str>)> {
        let of_boxes = self.index.ancestors(Detection::BOXES);
        let mut found: Vec<(usize, Option<&str>)> = Vec::new();
        for map in maps {
            let Some(own) = self.candidate(map) else { continue };
            let of_map = self.index.ancestors(map);
            let grid = |at: usize| (self.candidates[at].layout.height, self.candidates[at].layout.width);
            let shared = (0..own).filter(|&at| {
                let made_by = self.index.producer(&self.candidates[at].tensor);
                grid(at) == grid(own) && made_by.is_some_and(|node| of_map.contains(&node) && of_boxes.contains(&node))
            });
            let shared: Vec<usize> = shared.collect();
            let Some(at) = self.input_of_head(map, &shared) else { continue };
            match found.iter_mut().find(|(other, _)| *other == at) {
                Some(other) => other.1 = None,
                None => found.push((at, Some(self.candidates[own].tensor.as_str()))),
            }
        }
        found
    }

    /// The last of some layers that sees enough cells around a box; if that is one before a block that sees far too many, the
    /// layer behind the block.
    fn input_of_head(&self, map: &str, layers: &[usize]) -> Option<usize> {
        let reach = |at: usize| {
            let layer = &self.candidates[at];
            cut_branch(self.model, &layer.tensor, map, layer.layout.channels).map(|branch| branch.reach)
        };
        let reaches = layers.iter().rev().filter_map(|&at| Some((at, reach(at)?)));
        let last = |least: usize| reaches.clone().find(|(_, reach)| *reach >= least);
        let seeing = last(*SEEN.start());
        let found = if seeing.is_some_and(|(_, reach)| reach > *SEEN.end()) { last(1) } else { seeing };
        found.map(|(at, _)| at).or_else(|| self.last_layer(layers))
    }

    /// The last activation among candidates, or else the last of them.
    pub(super) fn last_layer(&self, positions: &[usize]) -> Option<usize> {
        let last = *positions.last()?;
        let near = positions.iter().rev().take(4);
        Some(near.copied().find(|&at| self.kind(at) == OpKind::Activation).unwrap_or(last))
    }

    /// The layer before ops that only move its numbers.
    pub(super) fn before_moves(&self, mut at: usize) -> usize {
        while matches!(self.kind(at), OpKind::Layout | OpKind::Transparent) {
            let node = self.index.producer_node(&self.candidates[at].tensor);
            let Some(before) = node.and_then(|node| self.candidate(node.input.first()?)) else { break };
            at = before;
        }
        at
    }
}
