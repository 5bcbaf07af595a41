//! Random crops, so that few pictures teach more.

use image::{RgbImage, imageops};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// The least share of the picture that a crop keeps.
const LEAST_AREA: f64 = 0.35;

/// Crops of a picture in its own shape, half of them mirrored.
pub fn crops(picture: &RgbImage, count: usize, seed: u64) -> Vec<RgbImage> {
    let mut random = SmallRng::seed_from_u64(seed);
    let (width, height) = picture.dimensions();
    let mut crop = || {
        let side = random.random_range(LEAST_AREA..1.0).sqrt();
        let [kept_width, kept_height] = [width, height].map(|length| ((f64::from(length) * side) as u32).max(1));
        let left = random.random_range(0..=width - kept_width);
        let top = random.random_range(0..=height - kept_height);
        let mut crop = imageops::crop_imm(picture, left, top, kept_width, kept_height).to_image();
        if random.random() {
            imageops::flip_horizontal_in_place(&mut crop);
        }
        crop
    };
    (0..count).map(|_| crop()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crops_keep_their_share_and_the_same_seed_gives_the_same() {
        for (width, height) in [(1, 1), (60, 40), (7, 300)] {
            let picture = RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 0]));
            let taken = crops(&picture, 8, 3);
            assert_eq!(taken, crops(&picture, 8, 3));
            for crop in taken {
                let share = f64::from(crop.width() * crop.height()) / f64::from(width * height);
                assert!(share <= 1.0 && (share > 0.3 || width.min(height) < 10), "{share}");
            }
        }
    }
}
