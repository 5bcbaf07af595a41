//! How a map is drawn over a frame.

use std::collections::HashMap;

use super::colormap::Colormap;
use crate::cam::CamMap;
use crate::error::{Error, Result};

/// How the map is drawn over the frame.
#[derive(Clone, Debug)]
pub struct Style {
    pub colormap: Colormap,
    pub blend: Blend,
    /// The opacity of the map, 0..=1; where it follows the evidence, that of the hottest colour.
    pub alpha: f32,
    pub scale: HeatScale,
    /// Whether to draw a colour bar.
    pub bar: bool,
}

/// How a map lies over the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Blend {
    /// With the same opacity everywhere, as most tutorials draw it.
    #[default]
    Even,
    /// With an opacity that follows the map: where there is no evidence, the picture stays as it is.
    Evidence,
    /// As [`Blend::Evidence`], faintly, with contours at a quarter, half and three quarters of the hottest colour.
    Contour,
}

impl Blend {
    /// The name of each.
    pub const ALL: &[(&str, Self)] = &[("even", Self::Even), ("evidence", Self::Evidence), ("contour", Self::Contour)];

    /// The blend of a name in [`Blend::ALL`].
    ///
    /// # Errors
    /// There is no blend of that name.
    pub fn named(name: &str) -> Result<Self> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        let known = || format!("there are {}", Self::ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "));
        let unknown = || Error::Unknown { what: "blend", name: name.to_owned(), known: known() };
        found.map(|(_, blend)| *blend).ok_or_else(unknown)
    }

    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, blend)| *blend == self).map_or("", |(name, _)| name)
    }

    /// The opacity that suits it.
    pub fn usual_alpha(self) -> f32 {
        match self {
            Self::Even => 0.4,
            Self::Evidence => 0.7,
            Self::Contour => 0.25,
        }
    }

    /// The colour map that suits it.
    pub fn usual_colormap(self) -> &'static str {
        match self {
            Self::Even => "jet",
            Self::Evidence | Self::Contour => "magma",
        }
    }
}

/// The value of the hottest colour.
#[derive(Clone, Debug, Default)]
pub enum HeatScale {
    /// [`CamMap::hottest`] of each frame's map.
    #[default]
    Frame,
    /// The largest [`CamMap::hottest`] of a film, by the name of the medium.
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
            Self::Frame => map.hottest(),
            Self::Film(tops) => tops.get(medium).copied().unwrap_or_else(|| map.hottest()),
            Self::Whole(sum) => sum / map.values.len() as f32,
        };
        if top > 0.0 { top } else { 1.0 }
    }
}
