//! The grid pointing game: Böhle, Fritz and Schiele, *Convolutional Dynamic Alignment Networks for
//! Interpretable Classifications*, CVPR 2021, <https://arxiv.org/abs/2104.00032>, section 4.2.

use image::{DynamicImage, RgbImage, imageops};
use ndarray::{ArrayView2, s};
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, SliceRandom};

/// Four photos of four classes as one picture of 2x2.
pub struct Grid {
    /// Which photos, row by row.
    pub photos: [usize; 4],
}

/// `count` grids out of photos whose class is given, each with four classes; none where there are fewer.
pub fn grids(classes: &[usize], count: usize, random: &mut SmallRng) -> Vec<Grid> {
    let mut kinds: Vec<usize> = classes.to_vec();
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.len() < 4 {
        return Vec::new();
    }
    let of_kind = |kind: usize, random: &mut SmallRng| {
        let photos: Vec<usize> = (0..classes.len()).filter(|&photo| classes[photo] == kind).collect();
        photos[random.random_range(0..photos.len())]
    };
    let grid = |_| {
        let mut four: Vec<usize> = kinds.choose_multiple(random, 4).copied().collect();
        four.shuffle(random);
        Grid { photos: [0, 1, 2, 3].map(|tile| of_kind(four[tile], random)) }
    };
    (0..count).map(grid).collect()
}

impl Grid {
    /// The grid as a picture of the given size, each photo cut to fill its tile.
    pub fn picture(photos: [&RgbImage; 4], width: u32, height: u32) -> RgbImage {
        let mut picture = RgbImage::new(width, height);
        let (tile_width, tile_height) = (width / 2, height / 2);
        for (tile, photo) in photos.into_iter().enumerate() {
            let photo = DynamicImage::from(photo.clone());
            let filled = photo.resize_to_fill(tile_width, tile_height, imageops::FilterType::Triangle);
            let (x, y) = (tile as u32 % 2 * tile_width, tile as u32 / 2 * tile_height);
            imageops::replace(&mut picture, &filled.to_rgb8(), x.into(), y.into());
        }
        picture
    }
}

/// The share of a map's energy that lies in a tile, 0..=1; 0 where there is no energy.
pub fn energy_in_tile(map: ArrayView2<f32>, tile: usize) -> f32 {
    let (height, width) = map.dim();
    let (top, left) = (tile / 2 * (height / 2), tile % 2 * (width / 2));
    let all = map.sum();
    let within = map.slice(s![top..top + height / 2, left..left + width / 2]).sum();
    if all > 0.0 { within / all } else { 0.0 }
}
