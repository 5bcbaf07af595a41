//! The middle of a picture, where the object is that someone holds up.

use image::RgbImage;

use crate::cam::CamMap;
use crate::model::Region;

/// An ellipse around the centre of what the model sees of a picture, with a soft edge.
pub struct Middle;

impl Middle {
    /// Half-axes, as shares of the width and height that the model sees.
    const HALF: f64 = 0.36;
    /// Where the edge ends, in half-axes; it begins as far inside.
    const EDGE: f64 = 1.1;
    /// Its share of what the model sees.
    pub const AREA: f32 = (std::f64::consts::PI * Self::HALF * Self::HALF) as f32;

    /// How far a point belongs to the middle, 0 to 1. The model sees the region `seen`.
    pub fn weight(seen: &Region, x: f64, y: f64) -> f32 {
        let radius = ((x - seen.x) / seen.width - 0.5).hypot((y - seen.y) / seen.height - 0.5) / Self::HALF;
        let width = 2.0 * (Self::EDGE - 1.0);
        ((Self::EDGE - radius) / width).clamp(0.0, 1.0) as f32
    }

    /// The share of a map's energy that lies in the middle of the picture; `None` for a map without evidence. The map covers
    /// `region`.
    pub fn share_of(map: &CamMap, region: &Region, seen: &Region) -> Option<f32> {
        let (rows, columns) = map.values.dim();
        let (mut inside, mut total) = (0.0, 0.0);
        for ((row, column), value) in map.values.indexed_iter() {
            let x = region.x + (column as f64 + 0.5) / columns as f64 * region.width;
            let y = region.y + (row as f64 + 0.5) / rows as f64 * region.height;
            let value = value.max(0.0);
            total += value;
            inside += value * Self::weight(seen, x, y);
        }
        (total > 0.0).then(|| inside / total)
    }

    /// The middle of one picture on another one, in the size of the first, of which the model sees the region `seen`.
    pub fn onto(middle: &RgbImage, surroundings: &RgbImage, seen: &Region) -> RgbImage {
        let (width, height) = middle.dimensions();
        let mut mixed = image::imageops::resize(surroundings, width, height, image::imageops::FilterType::Triangle);
        for (x, y, pixel) in mixed.enumerate_pixels_mut() {
            let share = Self::weight(seen, f64::from(x) + 0.5, f64::from(y) + 0.5);
            for (channel, over) in pixel.0.iter_mut().zip(middle.get_pixel(x, y).0) {
                *channel = (f32::from(*channel) * (1.0 - share) + f32::from(over) * share).round() as u8;
            }
        }
        mixed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_has_its_stated_area_and_keeps_its_colour() {
        let (red, blue) = (image::Rgb([255, 0, 0]), image::Rgb([0, 0, 255]));
        let seen = Region { x: 0.0, y: 0.0, width: 200.0, height: 100.0 };
        let mixed = Middle::onto(&RgbImage::from_pixel(200, 100, red), &RgbImage::from_pixel(64, 64, blue), &seen);
        assert_eq!((mixed.dimensions(), *mixed.get_pixel(100, 50), *mixed.get_pixel(2, 2)), ((200, 100), red, blue));
        let share = mixed.pixels().map(|pixel| f32::from(pixel.0[0]) / 255.0).sum::<f32>() / 20_000.0;
        assert!((share - Middle::AREA).abs() < 0.01, "{share}");
    }

    #[test]
    fn the_share_of_a_map_is_that_of_its_energy() {
        let region = Region { x: 0.0, y: 0.0, width: 90.0, height: 90.0 };
        let mut values = ndarray::Array2::zeros((9, 9));
        (values[[4, 4]], values[[0, 0]]) = (3.0, 1.0);
        assert_eq!(Middle::share_of(&CamMap::new(values), &region, &region), Some(0.75));
        assert_eq!(Middle::share_of(&CamMap::new(ndarray::Array2::zeros((2, 2))), &region, &region), None);
    }
}
