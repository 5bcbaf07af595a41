//! Whether a class is recognised by its background.

use image::RgbImage;
use ndarray::Axis;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::backbone::FeatureReader;
use super::linear::Linear;
use super::middle::Middle;
use crate::error::{Error, Result};

/// How much of what tells a class from others lies around the middle of its pictures.
///
/// Two pictures of two classes exchange their middles, as in *mixed-rand* of Xiao et al. (*Noise or Signal: The Role of Image
/// Backgrounds in Object Recognition*, ICLR 2021). What tells them apart is the difference of the two logits; middle and
/// surroundings each get their Shapley value of its change from one picture to the other (Shapley, *A Value for n-Person
/// Games*, 1953). Seams and a preference for one class are the same on both sides, and cancel out.
#[derive(Clone, Debug, Default)]
pub struct BackgroundCheck {
    /// Pairs of pictures that were compared.
    pub pairs: u32,
    /// The sum of the values of the surroundings, and of all.
    surroundings: f32,
    total: f32,
}

/// Fewer pairs say nothing.
const FEWEST: u32 = 4;
/// Pairs that each class begins, and pairs of all classes.
const EACH: usize = 12;
const MOST: usize = 400;
/// From this share of the surroundings on, a class is recognised by its background. It is what evidence would have that is
/// spread evenly over the picture.
const SHARE: f32 = 1.0 - Middle::AREA;

impl BackgroundCheck {
    /// The share of the surroundings, 0..=1 unless they and the middle contradict each other; `None` for too few pairs.
    pub fn share(&self) -> Option<f32> {
        (self.pairs >= FEWEST && self.total > 0.0).then(|| self.surroundings / self.total)
    }

    pub fn is_by_background(&self) -> bool {
        self.share().is_some_and(|share| share > SHARE)
    }
}

/// Checks each class on pairs of pictures. `pictures` are some pictures of each class; `proceed` gets the share of the work
/// that is done and returns whether to go on.
///
/// # Errors
/// The runtime fails, or `proceed` returned false.
pub fn backgrounds(
    pictures: &[Vec<RgbImage>],
    reader: &mut FeatureReader,
    linear: &Linear,
    seed: u64,
    proceed: &dyn Fn(f32) -> bool,
) -> Result<Vec<BackgroundCheck>> {
    let mut checks = vec![BackgroundCheck::default(); pictures.len()];
    let mut random = SmallRng::seed_from_u64(seed);
    let with_pictures: Vec<usize> = (0..pictures.len()).filter(|class| !pictures[*class].is_empty()).collect();
    if with_pictures.len() < 2 {
        return Ok(checks);
    }
    let total = (EACH * with_pictures.len()).min(MOST);
    for number in 0..total {
        let class = with_pictures[number % with_pictures.len()];
        let ahead = random.random_range(1..with_pictures.len());
        let other = with_pictures[(number + ahead) % with_pictures.len()];
        let picked = (pictures[class].choose(&mut random), pictures[other].choose(&mut random));
        let (Some(first), Some(second)) = picked else { continue };
        let seen = [first, second].map(|picture| reader.seen(picture));
        let mut margin = |picture: &RgbImage| -> Result<f32> {
            let features = reader.features(picture)?.insert_axis(Axis(0));
            let logits = linear.logits(features.view());
            Ok(logits[[0, class]] - logits[[0, other]])
        };
        let (whole, nothing) = (margin(first)?, margin(second)?);
        let middle = margin(&Middle::onto(first, second, &seen[0]))?;
        let surroundings = margin(&Middle::onto(second, first, &seen[1]))?;
        for class in [class, other] {
            checks[class].pairs += 1;
            checks[class].surroundings += (surroundings - nothing + whole - middle) / 2.0;
            checks[class].total += whole - nothing;
        }
        if !proceed((number + 1) as f32 / total as f32) {
            return Err(Error::Cancelled);
        }
    }
    Ok(checks)
}
