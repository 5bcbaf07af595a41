//! The grid pointing game: Böhle, Fritz and Schiele, *Convolutional Dynamic Alignment Networks for
//! Interpretable Classifications*, CVPR 2021, <https://arxiv.org/abs/2104.00032>, section 4.2.

use image::{DynamicImage, RgbImage, imageops};
use ndarray::{ArrayView2, s};
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, SliceRandom};

/// Four photos of four classes as a 2x2 grid.
pub struct PhotoGrid {
    /// The indices of the photos, row by row.
    pub photos: [usize; 4],
}

/// `count` random grids of photos, given the class of each photo. Empty if there are fewer than four classes.
pub fn grids(classes: &[usize], count: usize, random: &mut SmallRng) -> Vec<PhotoGrid> {
    let mut distinct: Vec<usize> = classes.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < 4 {
        return Vec::new();
    }
    let photo_of = |class: usize, random: &mut SmallRng| {
        let photos: Vec<usize> = (0..classes.len()).filter(|&photo| classes[photo] == class).collect();
        photos[random.random_range(0..photos.len())]
    };
    let grid = |_| {
        let mut four: Vec<usize> = distinct.choose_multiple(random, 4).copied().collect();
        four.shuffle(random);
        PhotoGrid { photos: [0, 1, 2, 3].map(|tile| photo_of(four[tile], random)) }
    };
    (0..count).map(grid).collect()
}

impl PhotoGrid {
    /// The grid as a picture of the given size in pixels; each photo is cropped to fill its tile.
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

/// The share of a map's energy in a tile, 0..=1; 0 for a map without energy.
pub fn energy_in_tile(map: ArrayView2<f32>, tile: usize) -> f32 {
    let (height, width) = map.dim();
    let (top, left) = (tile / 2 * (height / 2), tile % 2 * (width / 2));
    let all = map.sum();
    let within = map.slice(s![top..top + height / 2, left..left + width / 2]).sum();
    if all > 0.0 { within / all } else { 0.0 }
}
