//! Maps and classes that do not flicker along a film.

use image::RgbImage;
use ndarray::Array2;

use super::explanation::Explanation;

/// Smooths the explanations of consecutive frames.
#[derive(Debug)]
pub struct TemporalSmoother {
    /// The time constant of the exponential moving average, in seconds.
    seconds: f64,
    state: Option<State>,
}

#[derive(Debug)]
struct State {
    time_us: i64,
    thumbnail: Vec<u8>,
    /// The class and map of each explained class.
    maps: Vec<(Option<usize>, Array2<f32>)>,
    familiarity: Option<f32>,
    /// The class that is held, and how long another one has been likelier, in seconds.
    class: Option<usize>,
    rival_for: f64,
}

impl TemporalSmoother {
    /// Long enough to calm single frames, and short enough that no one sees the lag.
    pub const SECONDS: f64 = 0.25;
    /// How long a class must be the likeliest before it is shown, in seconds.
    const HOLD_SECONDS: f64 = 0.3;
    /// A rival that leads by this probability is shown at once.
    const CLEAR_LEAD: f32 = 0.6;

    /// `seconds` is the time constant.
    pub fn new(seconds: f64) -> Self {
        Self { seconds, state: None }
    }

    /// Forgets all earlier frames.
    pub fn reset(&mut self) {
        self.state = None;
    }

    /// The class to explain in this picture: the one shown last, unless the scene has changed.
    pub fn class_for(&mut self, picture: &RgbImage) -> Option<usize> {
        let state = self.state.as_ref()?;
        if is_cut(&state.thumbnail, &thumbnail(picture)) {
            self.state = None;
            return None;
        }
        state.class
    }

    /// Replaces each map (of a detector the first one), and the familiarity, by its exponential moving average, and decides
    /// which class is explained in the next frame.
    pub fn smooth(&mut self, picture: &RgbImage, time_us: i64, explanation: &mut Explanation) {
        let thumbnail = thumbnail(picture);
        let before =
            self.state.take().filter(|state| time_us >= state.time_us && !is_cut(&state.thumbnail, &thumbnail));
        let passed = before.as_ref().map_or(0.0, |state| (time_us - state.time_us) as f64 / 1e6);
        // The weight of the new map; the average is the same at any frame rate.
        let weight = (1.0 - (-passed / self.seconds.max(1e-9)).exp()) as f32;
        let maps = smooth_maps(before.as_ref(), weight, explanation);
        let (mut class, mut familiarity, mut rival_for) = (None, None, 0.0);
        if let Some(classes) = explanation.prediction.classes_mut() {
            let old_value = before.as_ref().and_then(|state| state.familiarity);
            if let (Some(familiarity), Some(old)) = (&mut classes.familiarity, old_value) {
                familiarity.value += (old - familiarity.value) * (1.0 - weight);
            }
            familiarity = classes.familiarity.map(|familiarity| familiarity.value);
            class = Some(classes.class_index);
            if let Some(best) = classes.top.first().filter(|best| best.class_index != classes.class_index) {
                rival_for = before.map_or(0.0, |state| state.rival_for) + passed;
                let leads = best.probability - classes.probability > Self::CLEAR_LEAD;
                if rival_for >= Self::HOLD_SECONDS || leads {
                    (class, rival_for) = (Some(best.class_index), 0.0);
                }
            }
        }
        self.state = Some(State { time_us, thumbnail, maps, familiarity, class, rival_for });
    }
}

/// Averages each map with the earlier one of its class, and returns copies of the results.
fn smooth_maps(
    before: Option<&State>,
    weight: f32,
    explanation: &mut Explanation,
) -> Vec<(Option<usize>, Array2<f32>)> {
    let classes = explanation.prediction.explained();
    let mut maps = Vec::with_capacity(classes.len());
    for (class, map) in classes.into_iter().zip(explanation.maps_mut()) {
        let old = before.and_then(|state| state.maps.iter().find(|(of, _)| *of == class));
        if let Some((_, old)) = old.filter(|(_, old)| old.dim() == map.values.dim()) {
            *map = map.with_values(&map.values * weight + old * (1.0 - weight));
        }
        maps.push((class, map.values.clone()));
    }
    maps
}

/// Brightness at evenly spaced pixels.
fn thumbnail(picture: &RgbImage) -> Vec<u8> {
    const ACROSS: u32 = 32;
    const DOWN: u32 = 24;
    let (width, height) = picture.dimensions();
    let pixels = (0..DOWN).flat_map(|y| (0..ACROSS).map(move |x| (x, y)));
    pixels
        .map(|(x, y)| {
            let [r, g, b] = picture.get_pixel((2 * x + 1) * width / (2 * ACROSS), (2 * y + 1) * height / (2 * DOWN)).0;
            ((u32::from(r) * 77 + u32::from(g) * 150 + u32::from(b) * 29) >> 8) as u8
        })
        .collect()
}

/// Whether two pictures differ so much that the scene must have changed.
fn is_cut(before: &[u8], after: &[u8]) -> bool {
    const MEAN_STEP: u64 = 36;
    let steps: u64 = before.iter().zip(after).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    steps > MEAN_STEP * before.len() as u64
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;
    use crate::cam::CamMap;
    use crate::explain::{ClassPrediction, Familiarity, Prediction, Ranked};
    use crate::model::Region;

    const LEFT: usize = 0;
    const RIGHT: usize = 1;

    fn scene(shade: u8) -> RgbImage {
        RgbImage::from_pixel(64, 48, Rgb([shade; 3]))
    }

    /// A map with a single hot cell, for the class that is explained, where another may be likelier.
    fn explanation(explained: usize, likeliest: usize, hot: [usize; 2]) -> Explanation {
        let mut values = Array2::zeros((4, 4));
        values[hot] = 1.0;
        let region = Region { x: 0.0, y: 0.0, width: 64.0, height: 48.0 };
        let probability = |class: usize| if class == likeliest { 0.6 } else { 0.4 };
        let top = [likeliest, 1 - likeliest].map(|class| Ranked {
            class_index: class,
            probability: probability(class),
            logit: 0.0,
        });
        let mut classes = ClassPrediction::new(explained, probability(explained), 0.0, top.to_vec());
        classes.familiarity = Some(Familiarity { value: 1.0, least: 0.5 });
        Explanation::new(Prediction::Classes(classes), CamMap::new(values), region, region)
    }

    /// The value of a cell that is cold from the second frame on, after a second.
    fn rest_after_a_second(frames_a_second: i64) -> f32 {
        let mut smoother = TemporalSmoother::new(1.0);
        smoother.smooth(&scene(0), 0, &mut explanation(LEFT, LEFT, [0, 0]));
        let mut rest = 1.0;
        for frame in 1..=frames_a_second {
            let mut later = explanation(LEFT, LEFT, [3, 3]);
            smoother.smooth(&scene(0), frame * 1_000_000 / frames_a_second, &mut later);
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
        let mut smoother = TemporalSmoother::new(TemporalSmoother::SECONDS);
        for frame in 0..60_i64 {
            let likeliest = if frame % 5 == 4 { RIGHT } else { LEFT };
            let asked = smoother.class_for(&scene(0)).unwrap_or(likeliest);
            assert_eq!(asked, LEFT, "frame {frame}");
            smoother.smooth(&scene(0), frame * 33_333, &mut explanation(asked, likeliest, [0, 0]));
        }
        let mut shown = Vec::new();
        for frame in 60..90_i64 {
            let asked = smoother.class_for(&scene(0)).unwrap_or(RIGHT);
            smoother.smooth(&scene(0), frame * 33_333, &mut explanation(asked, RIGHT, [0, 0]));
            shown.push(asked);
        }
        assert_eq!((shown[0], shown[29]), (LEFT, RIGHT), "a class that goes on leading is never shown");
    }

    #[test]
    fn a_cut_forgets_class_and_map() {
        let mut smoother = TemporalSmoother::new(10.0);
        smoother.smooth(&scene(20), 0, &mut explanation(LEFT, LEFT, [0, 0]));
        assert_eq!(smoother.class_for(&scene(24)), Some(LEFT), "the scene is the same");
        assert_eq!(smoother.class_for(&scene(200)), None);
        let mut after = explanation(RIGHT, RIGHT, [3, 3]);
        smoother.smooth(&scene(200), 33_333, &mut after);
        assert_eq!((after.map.values[[0, 0]], after.map.values[[3, 3]]), (0.0, 1.0));
    }

    #[test]
    fn one_strange_frame_does_not_make_the_picture_unknown() {
        let mut smoother = TemporalSmoother::new(TemporalSmoother::SECONDS);
        smoother.smooth(&scene(0), 0, &mut explanation(LEFT, LEFT, [0, 0]));
        let mut strange = explanation(LEFT, LEFT, [0, 0]);
        if let Some(classes) = strange.prediction.classes_mut() {
            classes.familiarity = Some(Familiarity { value: 0.0, least: 0.5 });
        }
        smoother.smooth(&scene(0), 33_333, &mut strange);
        assert!(strange.classes().is_some_and(ClassPrediction::is_sure));
    }
}
