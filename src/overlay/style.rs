//! How a map is drawn over a frame.

use std::collections::HashMap;

use super::colormap::Colormap;
use crate::cam::CamMap;

/// How the map is drawn over the frame.
#[derive(Clone, Debug)]
pub struct Style {
    pub colormap: Colormap,
    /// The map's share of the picture, 0..=1.
    pub alpha: f32,
    pub scale: HeatScale,
    /// Whether to draw a colour bar.
    pub bar: bool,
}

impl Style {
    pub const DEFAULT_ALPHA: f32 = 0.4;
}

/// The value of the hottest colour.
#[derive(Clone, Debug, Default)]
pub enum HeatScale {
    /// The largest value of each frame's map.
    #[default]
    Frame,
    /// The largest value of all maps of a film, by the name of the medium.
    Film(HashMap<String, f32>),
    /// The value whose sum over all cells of the map is this, whatever the grid. For maps in logits: a share of the
    /// score.
    Whole(f32),
}

impl HeatScale {
    /// The sum over the map, in logits, that gives every cell the hottest colour.
    pub const LOGITS: f32 = 20.0;

    pub(super) fn top(&self, medium: &str, map: &CamMap) -> f32 {
        let top = match self {
            Self::Frame => map.strength(),
            Self::Film(tops) => tops.get(medium).copied().unwrap_or_else(|| map.strength()),
            Self::Whole(sum) => sum / map.values.len() as f32,
        };
        if top > 0.0 { top } else { 1.0 }
    }
}
