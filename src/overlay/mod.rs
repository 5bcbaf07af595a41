//! The picture shown to a person: the map over the frame, the caption and the colour bar.

mod bar;
mod caption;
mod colormap;
mod detections;
mod draw;
mod glyphs;
mod heat;
mod segments;
mod style;

pub use caption::{Caption, Corner};
pub use colormap::{COLORMAPS, Colormap};
pub use draw::Overlay;
pub use style::{Blend, HeatScale, Style};
