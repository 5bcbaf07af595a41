//! What a segmenter says.

use ndarray::Array2;

use super::ranked::{RankedLabel, percent};
use crate::cam::CamMap;
use crate::explain::ExplanationContext;

/// What a segmenter says.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SegmentPrediction {
    /// The segments, the largest first; or those that the request names, in its order.
    pub segments: Vec<Segment>,
    /// The position of the segment that the first map explains.
    pub explained: usize,
}

/// The pixels of one class.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Segment {
    pub class_index: usize,
    /// The share of the pixels that the model saw, 0..=1.
    pub share: f32,
    /// The mean probability of the class over its pixels, or over the part of the picture that is asked about, 0..=1.
    pub probability: f32,
    /// The sum of the logits over the same pixels: the score that is explained.
    pub logit: f32,
    /// By how much the logit of the class is above that of every other one, `[h,w]`; above 0 within the segment. It covers
    /// what the model saw.
    pub margin: Array2<f32>,
    /// The map of this segment alone, if it was asked for.
    pub map: Option<CamMap>,
}

impl SegmentPrediction {
    /// The segment that the first map explains.
    pub fn explained(&self) -> Option<&Segment> {
        self.segments.get(self.explained)
    }

    pub(super) fn caption(&self, map: &CamMap, context: &ExplanationContext) -> String {
        let evidence = map.absence();
        match self.explained() {
            Some(segment) => {
                format!("{} {} of the picture{evidence}", context.label(segment.class_index), percent(segment.share))
            }
            None => "nothing found  no evidence".to_owned(),
        }
    }

    pub(super) fn ranking(&self, context: &ExplanationContext) -> Vec<RankedLabel> {
        let lines = self.segments.iter().enumerate().map(|(at, segment)| RankedLabel {
            label: context.label(segment.class_index),
            share: segment.share,
            text: percent(segment.share),
            explained: at == self.explained,
        });
        lines.take(9).collect()
    }
}
