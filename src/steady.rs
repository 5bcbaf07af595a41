//! Maps and labels that do not flicker along a film.

use image::RgbImage;
use ndarray::Array2;

use crate::cam::CamMap;
use crate::explainer::Explanation;

/// Smooths what one frame after the other is explained by.
pub struct Steady {
    /// The time constant of the mean, in seconds.
    seconds: f64,
    state: Option<State>,
}

struct State {
    time_us: i64,
    thumbnail: Vec<u8>,
    /// Class and map of each class that is explained.
    maps: Vec<(usize, Array2<f32>)>,
    familiarity: Option<f32>,
    /// The class that is held, and how long another one has been likelier, in seconds.
    class: usize,
    rival_for: f64,
}

impl Steady {
    /// Long enough to calm single frames, short enough not to be seen to trail.
    pub const SECONDS: f64 = 0.25;
    /// How long a class must be the likeliest before it is the one that is shown, in seconds.
    const HOLD_SECONDS: f64 = 0.3;
    /// A rival this much likelier is shown at once, as probability.
    const CLEAR_LEAD: f32 = 0.6;

    pub fn new(seconds: f64) -> Self {
        Self { seconds, state: None }
    }

    /// Forgets what was before.
    pub fn reset(&mut self) {
        self.state = None;
    }

    /// The class to explain in this picture: the one that was shown last, unless the scene is another.
    pub fn class_for(&mut self, picture: &RgbImage) -> Option<usize> {
        let state = self.state.as_ref()?;
        if is_cut(&state.thumbnail, &thumbnail(picture)) {
            self.state = None;
            return None;
        }
        Some(state.class)
    }

    /// Puts exponential means over time in place of each map and of how familiar the picture is, and decides which class the next frame is
    /// explained for.
    pub fn smooth(&mut self, picture: &RgbImage, time_us: i64, explanation: &mut Explanation) {
        let thumbnail = thumbnail(picture);
        let before =
            self.state.take().filter(|state| time_us >= state.time_us && !is_cut(&state.thumbnail, &thumbnail));
        let passed = before.as_ref().map_or(0.0, |state| (time_us - state.time_us) as f64 / 1e6);
        // How much the new map counts; the same mean at any rate of frames.
        let share = 1.0 - (-passed / self.seconds.max(1e-9)).exp();
        let mut maps = Vec::with_capacity(1 + explanation.others.len());
        let others = explanation.others.iter_mut().map(|other| (other.class_index, &mut other.map));
        for (class, map) in std::iter::once((explanation.class_index, &mut explanation.map)).chain(others) {
            let old = before.as_ref().and_then(|state| state.maps.iter().find(|(of, _)| *of == class));
            if let Some((_, old)) = old.filter(|(_, old)| old.dim() == map.values.dim()) {
                *map = CamMap::new(&map.values * share as f32 + old * (1.0 - share as f32));
            }
            maps.push((class, map.values.clone()));
        }
        let old_value = before.as_ref().and_then(|state| state.familiarity);
        if let (Some(familiarity), Some(old)) = (&mut explanation.familiarity, old_value) {
            familiarity.value += (old - familiarity.value) * (1.0 - share as f32);
        }
        let familiarity = explanation.familiarity.map(|familiarity| familiarity.value);
        let (mut class, mut rival_for) = (explanation.class_index, 0.0);
        if let Some(best) = explanation.top.first().filter(|best| best.class_index != class) {
            rival_for = before.map_or(0.0, |state| state.rival_for) + passed;
            if rival_for >= Self::HOLD_SECONDS || best.probability - explanation.probability > Self::CLEAR_LEAD {
                (class, rival_for) = (best.class_index, 0.0);
            }
        }
        self.state = Some(State { time_us, thumbnail, maps, familiarity, class, rival_for });
    }
}

/// Brightness at a few places all over the picture.
fn thumbnail(picture: &RgbImage) -> Vec<u8> {
    const ACROSS: u32 = 32;
    const DOWN: u32 = 24;
    let (width, height) = picture.dimensions();
    let places = (0..DOWN).flat_map(|y| (0..ACROSS).map(move |x| (x, y)));
    places
        .map(|(x, y)| {
            let [r, g, b] = picture.get_pixel((2 * x + 1) * width / (2 * ACROSS), (2 * y + 1) * height / (2 * DOWN)).0;
            ((u32::from(r) * 77 + u32::from(g) * 150 + u32::from(b) * 29) >> 8) as u8
        })
        .collect()
}

/// Whether two pictures are so unlike that the scene must be another.
fn is_cut(before: &[u8], after: &[u8]) -> bool {
    const MEAN_STEP: u64 = 36;
    let steps: u64 = before.iter().zip(after).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    steps > MEAN_STEP * before.len() as u64
}
