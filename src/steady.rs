//! Maps and labels that do not flicker along a film.

use image::RgbImage;
use ndarray::Array2;

use crate::cam::CamMap;
use crate::explanation::Explanation;

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

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;
    use crate::explanation::{Familiarity, Ranked};
    use crate::preprocess::Region;

    const LEFT: usize = 0;
    const RIGHT: usize = 1;

    fn scene(shade: u8) -> RgbImage {
        RgbImage::from_pixel(64, 48, Rgb([shade; 3]))
    }

    /// A map with a single warm place, for the class that is asked for, where another may be likelier.
    fn explanation(asked: usize, likeliest: usize, warm: [usize; 2]) -> Explanation {
        let mut values = Array2::zeros((4, 4));
        values[warm] = 1.0;
        let region = Region { x: 0.0, y: 0.0, width: 64.0, height: 48.0 };
        let probability = |class: usize| if class == likeliest { 0.6 } else { 0.4 };
        let top =
            [likeliest, 1 - likeliest].map(|class| Ranked { class_index: class, probability: probability(class) });
        Explanation {
            class_index: asked,
            probability: probability(asked),
            logit: 0.0,
            top: top.to_vec(),
            map: CamMap::new(values),
            others: Vec::new(),
            region,
            seen: region,
            familiarity: Some(Familiarity { value: 1.0, least: 0.5 }),
        }
    }

    /// The map's value at a place that is cold from the second frame on, after a second.
    fn rest_after_a_second(frames_a_second: i64) -> f32 {
        let mut steady = Steady::new(1.0);
        steady.smooth(&scene(0), 0, &mut explanation(LEFT, LEFT, [0, 0]));
        let mut rest = 1.0;
        for frame in 1..=frames_a_second {
            let mut later = explanation(LEFT, LEFT, [3, 3]);
            steady.smooth(&scene(0), frame * 1_000_000 / frames_a_second, &mut later);
            rest = later.map.values[[0, 0]];
        }
        rest
    }

    #[test]
    fn the_time_constant_means_the_same_at_any_rate() {
        let expected = (-1.0_f32).exp();
        for rate in [3, 10, 60] {
            assert!((rest_after_a_second(rate) - expected).abs() < 1e-3, "{rate} frames a second");
        }
    }

    #[test]
    fn a_class_that_leads_for_a_moment_is_not_shown() {
        let mut steady = Steady::new(Steady::SECONDS);
        for frame in 0..60_i64 {
            let likeliest = if frame % 5 == 4 { RIGHT } else { LEFT };
            let asked = steady.class_for(&scene(0)).unwrap_or(likeliest);
            assert_eq!(asked, LEFT, "frame {frame}");
            steady.smooth(&scene(0), frame * 33_333, &mut explanation(asked, likeliest, [0, 0]));
        }
        let mut shown = Vec::new();
        for frame in 60..90_i64 {
            let asked = steady.class_for(&scene(0)).unwrap_or(RIGHT);
            steady.smooth(&scene(0), frame * 33_333, &mut explanation(asked, RIGHT, [0, 0]));
            shown.push(asked);
        }
        assert_eq!((shown[0], shown[29]), (LEFT, RIGHT), "a class that goes on leading is never shown");
    }

    #[test]
    fn a_cut_forgets_class_and_map() {
        let mut steady = Steady::new(10.0);
        steady.smooth(&scene(20), 0, &mut explanation(LEFT, LEFT, [0, 0]));
        assert_eq!(steady.class_for(&scene(24)), Some(LEFT), "the scene is the same");
        assert_eq!(steady.class_for(&scene(200)), None);
        let mut after = explanation(RIGHT, RIGHT, [3, 3]);
        steady.smooth(&scene(200), 33_333, &mut after);
        assert_eq!((after.map.values[[0, 0]], after.map.values[[3, 3]]), (0.0, 1.0));
    }

    #[test]
    fn one_strange_frame_does_not_make_the_picture_unknown() {
        let mut steady = Steady::new(Steady::SECONDS);
        steady.smooth(&scene(0), 0, &mut explanation(LEFT, LEFT, [0, 0]));
        let mut strange = explanation(LEFT, LEFT, [0, 0]);
        strange.familiarity = Some(Familiarity { value: 0.0, least: 0.5 });
        steady.smooth(&scene(0), 33_333, &mut strange);
        assert!(strange.is_sure());
    }
}
