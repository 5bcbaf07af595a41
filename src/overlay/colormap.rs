//! Colour maps: from heat to RGB.

use colorgrad::{BlendMode, Color, Gradient, GradientBuilder, LinearGradient};

use crate::error::{Error, Result};

/// Maps heat 0..=1 to a colour.
pub type Scale = fn(f32) -> Color;

/// Every colour map by its name. The first is the default.
pub const COLORMAPS: &[(&str, Scale)] = &[
    ("jet", jet),
    ("turbo", |t| colorgrad::preset::turbo().at(t)),
    ("viridis", |t| colorgrad::preset::viridis().at(t)),
    ("inferno", |t| colorgrad::preset::inferno().at(t)),
    ("magma", |t| colorgrad::preset::magma().at(t)),
    ("plasma", |t| colorgrad::preset::plasma().at(t)),
    ("cividis", |t| colorgrad::preset::cividis().at(t)),
];

/// MATLAB's jet: dark blue, blue, cyan, yellow, red and dark red, with linear interpolation.
fn jet(t: f32) -> Color {
    let colours = [
        Color::new(0.0, 0.0, 0.5, 1.0),
        Color::new(0.0, 0.0, 1.0, 1.0),
        Color::new(0.0, 1.0, 1.0, 1.0),
        Color::new(1.0, 1.0, 0.0, 1.0),
        Color::new(1.0, 0.0, 0.0, 1.0),
        Color::new(0.5, 0.0, 0.0, 1.0),
    ];
    GradientBuilder::new()
        .colors(&colours)
        .domain(&[0.0, 0.125, 0.375, 0.625, 0.875, 1.0])
        .mode(BlendMode::Rgb)
        .build::<LinearGradient>()
        .map_or(Color::new(t, 0.0, 1.0 - t, 1.0), |gradient| gradient.at(t))
}

/// A colour map as a table of 256 colours.
#[derive(Clone, Debug)]
pub struct Colormap {
    name: &'static str,
    table: Vec<[u8; 3]>,
}

impl Colormap {
    /// The colour map of a name in [`COLORMAPS`].
    ///
    /// # Errors
    /// There is no colour map of that name.
    pub fn named(name: &str) -> Result<Self> {
        let Some((name, colour)) = COLORMAPS.iter().find(|(known, _)| *known == name) else {
            let known: Vec<&str> = COLORMAPS.iter().map(|(name, _)| *name).collect();
            let known = format!("there are {}", known.join(", "));
            return Err(Error::Unknown { what: "colour map", name: name.to_owned(), known });
        };
        let table = (0..=255u8).map(|level| {
            let [r, g, b, _] = colour(f32::from(level) / 255.0).to_rgba8();
            [r, g, b]
        });
        Ok(Self { name, table: table.collect() })
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The colour of a level 0..=255.
    pub fn at(&self, level: u8) -> [u8; 3] {
        self.table[usize::from(level)]
    }
}
