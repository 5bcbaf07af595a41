//! The picture that a screen shows.

use std::borrow::Cow;

use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::{RgbImage, imageops};

use crate::error::{Error, Result};
use crate::explain::{Explanation, ExplanationContext};
use crate::media::{Frame, Picture, Pool, scale_to_fit, scaled};
use crate::overlay::Overlay;

/// Draws what a screen shows, at the size at which it is shown, so that a large frame costs no more than a small one.
pub struct Composer {
    resizer: Resizer,
    pool: Pool,
    /// Whether picture and map stand next to both.
    pub side_by_side: bool,
    /// The newest picture of each of several sources, which share the screen.
    tiles: Vec<Option<Picture>>,
    /// The size of each tile, in pixels of the sources: no source is larger.
    tile: (u32, u32),
    /// The size of all of them on the screen.
    size: (u32, u32),
}

/// What is shown.
pub struct Shown {
    pub picture: Picture,
    /// The size that shows every pixel of the source.
    pub natural: (u32, u32),
}

impl Composer {
    /// A composer for this number of sources.
    pub fn new(lanes: usize) -> Self {
        let tiles = (0..lanes).map(|_| None).collect();
        Self { resizer: Resizer::new(), pool: Pool::default(), side_by_side: false, tiles, tile: (1, 1), size: (0, 0) }
    }

    pub fn lanes(&self) -> usize {
        self.tiles.len()
    }

    /// A frame with its map, of at most `size` pixels across and down; next to the newest ones of the other sources.
    ///
    /// # Errors
    /// The frame is empty.
    pub fn draw(
        &mut self,
        overlay: &mut Overlay,
        frame: &Frame,
        explanation: &Explanation,
        context: &ExplanationContext,
        size: (u32, u32),
    ) -> Result<Shown> {
        let (width, height) = frame.picture.dimensions();
        if self.tiles.len() < 2 {
            let picture = self.draw_one(overlay, frame, explanation, context, size)?;
            return Ok(Shown { picture, natural: (width, height) });
        }
        let tile = (self.tile.0.max(width), self.tile.1.max(height));
        if (tile, size) != (self.tile, self.size) {
            // Pictures of another size would stand beside their places.
            self.tiles.fill_with(|| None);
        }
        (self.tile, self.size) = (tile, size);
        let columns = self.tiles.len().isqrt().max(2) as u32;
        let rows = (self.tiles.len() as u32).div_ceil(columns);
        let natural = (self.tile.0 * columns, self.tile.1 * rows);
        let share = scale_to_fit(natural, size).min(1.0);
        let tile = scaled(self.tile, share);
        let drawn = self.draw_one(overlay, frame, explanation, context, tile)?;
        if let Some(place) = self.tiles.get_mut(frame.lane) {
            *place = Some(drawn);
        }
        let mut whole = self.pool.picture(tile.0 * columns, tile.1 * rows);
        whole.fill(0);
        for (place, picture) in (0..).zip(&self.tiles) {
            let Some(picture) = picture else { continue };
            let middle = |tile: u32, side: u32| i64::from(tile.saturating_sub(side) / 2);
            let (left, top) = (place % columns * tile.0, place / columns * tile.1);
            let (x, y) = (middle(tile.0, picture.width()), middle(tile.1, picture.height()));
            imageops::replace(&mut *whole, &**picture, i64::from(left) + x, i64::from(top) + y);
        }
        Ok(Shown { picture: whole, natural })
    }

    fn draw_one(
        &mut self,
        overlay: &mut Overlay,
        frame: &Frame,
        explanation: &Explanation,
        context: &ExplanationContext,
        size: (u32, u32),
    ) -> Result<Picture> {
        let (frame, explanation) = match self.shrunk(&frame.picture, size)? {
            Some(small) => {
                let [before, after] = [&frame.picture, &small].map(|picture| picture.dimensions());
                let across = f64::from(after.0) / f64::from(before.0);
                let down = f64::from(after.1) / f64::from(before.1);
                (Cow::Owned(frame.with_picture(small)), Cow::Owned(explanation.scaled(across, down)))
            }
            None => (Cow::Borrowed(frame), Cow::Borrowed(explanation)),
        };
        let mut drawn = frame.as_ref().clone();
        overlay.draw(&mut drawn, &explanation, context)?;
        self.arranged(overlay, &frame, &explanation, drawn.picture)
    }

    /// The picture in fewer pixels; `None` where it has not more than `size`.
    fn shrunk(&mut self, picture: &Picture, size: (u32, u32)) -> Result<Option<Picture>> {
        let (width, height) = picture.dimensions();
        let share = scale_to_fit((width, height), size);
        if !(share > 0.0 && share < 1.0) {
            return Ok(None);
        }
        let (width, height) = scaled((width, height), share);
        let mut small = self.pool.picture(width, height);
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        let resized = self.resizer.resize(&**picture, &mut *small, &options);
        resized.map_err(|e| Error::input("picture", format!("cannot be made smaller: {e}")))?;
        Ok(Some(small))
    }

    /// The picture with the map; side by side, to its right, in half the size, the picture above the map.
    fn arranged(
        &self,
        overlay: &mut Overlay,
        plain: &Frame,
        explanation: &Explanation,
        drawn: Picture,
    ) -> Result<Picture> {
        if !self.side_by_side || self.tiles.len() > 1 {
            return Ok(drawn);
        }
        let map = overlay.map_alone(plain, explanation)?;
        let (width, height) = drawn.dimensions();
        let (half_width, half_height) = ((width / 2).max(1), (height / 2).max(1));
        let mut row = RgbImage::new(width + half_width, height);
        imageops::replace(&mut row, &*drawn, 0, 0);
        for (panel, top) in [(&*plain.picture, 0), (&map, half_height)] {
            let panel = imageops::thumbnail(panel, half_width, half_height);
            imageops::replace(&mut row, &panel, i64::from(width), i64::from(top));
        }
        Ok(row.into())
    }
}
