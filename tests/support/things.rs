//! Drawn things that classes are taught from.

use std::path::Path;

use image::{Rgb, RgbImage};

use super::{Folder, tool};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    Disc,
    Cross,
    Stripes,
}

/// Numbers in 0..1 that a seed gives, one after the other.
pub fn numbers(seed: u32) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 24) as f32
    }
}

/// A thing near the middle of a cloth of this colour. Seed 0 is at its usual place and size.
pub fn thing(shape: Shape, cloth: [u8; 3], seed: u32) -> RgbImage {
    const SIZE: (u32, u32) = (320, 240);
    let mut random = numbers(seed);
    let moved = if seed == 0 { 0.0 } else { 1.0 };
    let [x, y] = [160.0 + moved * 30.0 * (random() - 0.5), 120.0 + moved * 20.0 * (random() - 0.5)];
    let radius = 52.0 + moved * 16.0 * (random() - 0.5);
    let grain = seed.wrapping_mul(7919);
    RgbImage::from_fn(SIZE.0, SIZE.1, |px, py| {
        let (dx, dy) = (px as f32 - x, py as f32 - y);
        let inside = dx.hypot(dy) < radius;
        let drawn = match shape {
            Shape::Disc => inside.then_some([250, 180, 20]),
            Shape::Cross => (inside && (dx.abs() < radius / 4.0 || dy.abs() < radius / 4.0)).then_some([20, 20, 20]),
            Shape::Stripes => (dx.abs() < radius && dy.abs() < radius).then_some(if (dx + dy) as i32 / 9 % 2 == 0 {
                [240; 3]
            } else {
                [160, 0, 90]
            }),
        };
        // A cloth has some grain.
        let noise = (px.wrapping_mul(31) ^ py.wrapping_mul(17) ^ grain) % 23;
        Rgb(drawn.unwrap_or_else(|| cloth.map(|channel| channel.saturating_add(noise as u8))))
    })
}

pub const CLOTHS: [[u8; 3]; 4] = [[170, 30, 30], [30, 60, 170], [30, 130, 60], [150, 140, 120]];

/// Writes pictures of a class into its folder.
pub fn class(folder: &Path, name: &str, pictures: impl IntoIterator<Item = RgbImage>) {
    let folder = folder.join(name);
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    for (number, picture) in pictures.into_iter().enumerate() {
        picture.save(folder.join(format!("{number:03}.png"))).expect("a temporary file");
    }
}

/// A film of pictures, each shown for this number of frames at 10 a second.
pub fn film_of(folder: &Folder, name: &str, pictures: &[RgbImage], frames: usize) -> String {
    let still = folder.0.join("stills");
    std::fs::create_dir_all(&still).expect("a temporary folder");
    for (number, picture) in pictures.iter().flat_map(|picture| std::iter::repeat_n(picture, frames)).enumerate() {
        picture.save(still.join(format!("{number:04}.png"))).expect("a temporary file");
    }
    let film = folder.file(name);
    let stills = still.join("%04d.png").display().to_string();
    tool("ffmpeg", &["-v", "error", "-y", "-framerate", "10", "-i", &stills, "-pix_fmt", "yuv420p", &film]);
    film
}
