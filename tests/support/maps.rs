//! Comparing maps with reference maps.

use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayViewD};
use whycam::overlay::Colormap;

/// How near a map must lie to its reference.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// The cosine of both maps must be larger.
    pub cosine: f64,
    /// The largest difference must be smaller, as a share of the reference's largest value.
    pub difference: f64,
}

impl Tolerance {
    /// Any cosine, and differences below this share of the reference's largest value.
    pub const fn of_difference(share: f64) -> Self {
        Self { cosine: f64::NEG_INFINITY, difference: share }
    }

    /// A cosine above this one, and any difference.
    pub const fn of_cosine(least: f64) -> Self {
        Self { cosine: least, difference: f64::INFINITY }
    }
}

/// How near two arrays of one size lie to each other.
#[derive(Clone, Copy, Debug)]
pub struct Nearness {
    pub cosine: f64,
    /// The largest difference of two values; NaN if a value is NaN.
    pub difference: f64,
    /// The largest absolute value of the reference.
    pub largest: f64,
}

impl Nearness {
    pub fn of(found: ArrayViewD<f32>, expected: ArrayViewD<f32>) -> Self {
        let larger = |most: f64, value: f64| if value > most || value.is_nan() { value } else { most };
        let pairs = || found.iter().zip(&expected).map(|(a, b)| (f64::from(*a), f64::from(*b)));
        let dot: f64 = pairs().map(|(a, b)| a * b).sum();
        let squares: (f64, f64) = pairs().fold((0.0, 0.0), |(aa, bb), (a, b)| (aa + a * a, bb + b * b));
        Self {
            cosine: dot / (squares.0 * squares.1).sqrt(),
            difference: pairs().map(|(a, b)| (a - b).abs()).fold(0.0, larger),
            largest: expected.iter().map(|v| f64::from(v.abs())).fold(0.0, larger),
        }
    }

    pub fn is_within(&self, tolerance: Tolerance) -> bool {
        let near = self.difference < tolerance.difference * self.largest;
        // The cosine of zeros is NaN, but equal maps are near.
        self.difference == 0.0 || (near && (tolerance.cosine == f64::NEG_INFINITY || self.cosine > tolerance.cosine))
    }
}

impl std::fmt::Display for Nearness {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Self { cosine, difference, largest } = self;
        write!(f, "cosine {cosine}, largest difference {difference:e}, largest value {largest:e}")
    }
}

/// Compares a map with its reference. If they differ, writes both as pictures, and the error gives the numbers and both
/// paths.
pub fn compare(found: &Array2<f32>, expected: &Array2<f32>, tolerance: Tolerance, what: &str) -> Result<(), String> {
    let problem = if found.dim() == expected.dim() {
        let nearness = Nearness::of(found.view().into_dyn(), expected.view().into_dyn());
        if nearness.is_within(tolerance) {
            return Ok(());
        }
        nearness.to_string()
    } else {
        format!("{:?} cells, not {:?}", found.dim(), expected.dim())
    };
    let values = found.iter().chain(expected).copied();
    let top = values.filter(|v| v.is_finite()).fold(0.0, f32::max);
    let [found, expected] = [("found", found), ("reference", expected)].map(|(name, map)| draw(map, top, what, name));
    Err(format!("{what}: {problem}; see {} and {}", found.display(), expected.display()))
}

/// As [`compare`], but panics.
pub fn assert_near(found: &Array2<f32>, expected: &Array2<f32>, tolerance: Tolerance, what: &str) {
    if let Err(problem) = compare(found, expected, tolerance, what) {
        panic!("{problem}");
    }
}

/// Writes a map as a picture of at least 200 pixels a side; `top` has the hottest colour.
fn draw(map: &Array2<f32>, top: f32, what: &str, name: &str) -> PathBuf {
    const LEAST_SIDE: usize = 200;
    let colours = Colormap::named("jet").expect("a colour map");
    let (h, w) = map.dim();
    let factor = LEAST_SIDE.div_ceil(h.min(w).max(1));
    let picture = image::RgbImage::from_fn((w * factor) as u32, (h * factor) as u32, |x, y| {
        let value = map[[y as usize / factor, x as usize / factor]];
        let level = if top > 0.0 { (value / top * 255.0).clamp(0.0, 255.0) } else { 0.0 };
        image::Rgb(colours.at(level as u8))
    });
    let plain: String = what.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{plain}-{name}.png"));
    picture.save(&path).expect("a picture in the target folder");
    path
}
