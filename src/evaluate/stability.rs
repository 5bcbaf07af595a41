//! Stability: how alike the maps of a picture are before and after a change that should not matter. After Alvarez-Melis and
//! Jaakkola, *On the Robustness of Interpretability Methods*, 2018, <https://arxiv.org/abs/1806.08049>, with changes that
//! cameras make instead of the worst ones.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage};
use ndarray::{Array2, ArrayView2, s};

use super::statistics::pearson;
use crate::error::{Error, Result};
use crate::explain::{Explainer, Explanation};

/// The shift, as a part of the shorter side.
const SHIFT: u32 = 32;
const JPEG_QUALITY: u8 = 50;

/// The mean correlation, -1..=1, of the map of a picture with its map after a shift by a 32nd of the shorter side, moved back,
/// and with its map after JPEG of quality 50. `before` is the explanation of the picture.
///
/// # Errors
/// The runtime fails.
pub fn stability(picture: &RgbImage, before: &Explanation, explainer: &mut Explainer) -> Result<f32> {
    let (width, height) = picture.dimensions();
    let size = (width as usize, height as usize);
    // Only what the model sees of the picture counts.
    let ([left, top, right, bottom], _) = before.seen.pixels((width, height));
    let seen =
        |map: &Array2<f32>| map.slice(s![top as usize..bottom as usize, left as usize..right as usize]).to_owned();
    let mut map = |picture: &RgbImage| -> Result<Array2<f32>> {
        let explanation = explainer.explain(picture)?;
        Ok(seen(&explanation.over_picture(&explanation.map, size)?))
    };
    let before = seen(&before.over_picture(&before.map, size)?);
    let step = (width.min(height) / SHIFT).max(1);
    let moved = map(&shifted(picture, step))?;
    let step = step as usize;
    let (rows, columns) = before.dim();
    let same = before.slice(s![..rows.saturating_sub(step), ..columns.saturating_sub(step)]);
    let after_shift = likeness(same, moved.slice(s![step.min(rows).., step.min(columns)..]));
    let compressed = map(&through_jpeg(picture)?)?;
    Ok(f32::midpoint(after_shift, likeness(before.view(), compressed.view())))
}

fn likeness(a: ArrayView2<f32>, b: ArrayView2<f32>) -> f32 {
    pearson(a.iter().copied(), b.iter().copied())
}

/// The picture moved right and down; its edge fills the margin.
fn shifted(picture: &RgbImage, step: u32) -> RgbImage {
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        *picture.get_pixel(x.saturating_sub(step), y.saturating_sub(step))
    })
}

fn through_jpeg(picture: &RgbImage) -> Result<RgbImage> {
    let failed = |e: image::ImageError| Error::output("JPEG", e);
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).encode_image(picture).map_err(failed)?;
    let decoded = image::load(Cursor::new(bytes), ImageFormat::Jpeg).map_err(failed)?;
    Ok(decoded.to_rgb8())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{PatternSource, Source};

    #[test]
    fn a_shift_moves_every_pixel_and_repeats_the_edge() {
        let picture = RgbImage::from_fn(4, 3, |x, y| image::Rgb([x as u8, y as u8, 0]));
        let moved = shifted(&picture, 1);
        assert_eq!((moved.get_pixel(3, 2).0, moved.get_pixel(0, 0).0), ([2, 1, 0], [0, 0, 0]));
    }

    #[test]
    fn the_map_of_a_plain_model_is_stable_but_not_blindly() {
        let stable = || -> Result<f32> {
            let frame = PatternSource::new((160, 120), 25, false, Some(1))?.next_frame()?;
            let picture = frame.map(|frame| frame.picture.into_image()).unwrap_or_default();
            let mut explainer = Explainer::builder().build()?;
            stability(&picture, &explainer.explain(&picture)?, &mut explainer)
        };
        let stable = stable();
        assert!(stable.as_ref().is_ok_and(|stable| (0.5..1.0).contains(stable)), "{stable:?}");
    }
}
