//! How the map is drawn.

use std::collections::HashMap;

use anyhow::Result;
use clap::Args;
use whycam::overlay::{Blend, Colormap, HeatScale, Overlay, Style};

use super::args::share;
use super::output::UsageError;

/// How the map is drawn.
#[derive(Args, Clone)]
#[command(next_help_heading = "Drawing")]
pub struct StyleArgs {
    /// How the map lies over the picture: even, with one opacity; evidence, where the opacity follows the evidence, so that the
    /// rest of the picture stays as it is; or contour, with lines around the evidence [default: even; live evidence]
    #[arg(long, value_name = "even|evidence|contour", value_parser = Blend::named)]
    pub blend: Option<Blend>,
    /// jet, turbo, viridis, inferno, magma, plasma or cividis [default: jet for an even map, else magma]
    #[arg(long, value_name = "NAME")]
    pub colormap: Option<String>,
    /// Opacity of the map, 0 to 1 [default: 0.4 for an even map; 0.7 where it follows the evidence, which it has where that is
    /// strongest; 0.25 between contours]
    #[arg(long, value_name = "A", value_parser = share)]
    pub alpha: Option<f32>,
    /// The value of the hottest colour: the largest value of each frame's map (of a map of pixels, what one in a hundred exceeds), the largest of a film's maps
    /// (which is explained twice), or 20 logits over the whole map
    #[arg(long, value_name = "frame|film|logit", default_value = "frame", value_parser = ["frame", "film", "logit"])]
    pub scale: String,
    /// Draw a colour bar with its unit
    #[arg(long)]
    pub bar: bool,
    /// The blend without --blend.
    #[arg(skip)]
    pub usual_blend: Blend,
}

impl StyleArgs {
    /// `highest` has the largest value of the maps of each film, for `--scale film`.
    ///
    /// # Errors
    /// There is no such colour map, or this command cannot read a film twice.
    pub fn overlay(&self, highest: Option<&HashMap<String, f32>>) -> Result<Overlay> {
        let scale = match (highest, self.scale.as_str()) {
            (Some(highest), _) => HeatScale::Film(highest.clone()),
            (None, "logit") => HeatScale::Whole(HeatScale::LOGITS),
            (None, "film") => {
                let problem = "--scale film is for `whycam explain`, which can read a film twice";
                return Err(UsageError(problem.into()).into());
            }
            _ => HeatScale::Frame,
        };
        let blend = self.blend.unwrap_or(self.usual_blend);
        let colormap = Colormap::named(self.colormap.as_deref().unwrap_or(blend.usual_colormap()))?;
        let alpha = self.alpha.unwrap_or(blend.usual_alpha());
        Ok(Overlay::new(Style { colormap, blend, alpha, scale, bar: self.bar })?)
    }
}
