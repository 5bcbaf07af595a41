//! One method's maps of photos, grids and films.

use std::path::Path;

use image::RgbImage;
use ndarray::{Array2, Array3, ArrayView3};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::adcc::adcc;
use super::average_drop::average_drop;
use super::displacement::displacement;
use super::flicker::motion;
use super::grid_pointing::{PhotoGrid, energy_in_tile};
use super::insertion_deletion::{area_under, insertion_deletion};
use super::photos::Photo;
use super::plan::Plan;
use super::progress::PhotoMeasured;
use super::report::{Case, FilmMotion};
use super::road::road;
use super::stability::stability;
use super::trial::{Trial, to_unit};
use crate::cam::Method;
use crate::error::Result;
use crate::explain::{Classifier, Explainer, Explanation, TemporalSmoother};
use crate::media::Report;
use crate::model::{InputSpec, Request, as_input};
use crate::source::{self, Input};

/// The shares of pixels that ROAD removes.
const SHARES: [f32; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
/// The standard deviation of the noise that ROAD adds, as in pytorch-grad-cam.
const NOISE: f32 = 0.01;
/// The most frames of a film on which motion is measured.
const MOST_FILM_FRAMES: usize = 300;

/// One method, and the plain model for the scores of changed pictures.
pub struct Worker<'a> {
    plan: &'a Plan,
    method: &'static Method,
    pub explainer: Explainer,
    classifier: &'a mut Classifier,
    /// The value of middle grey in each channel of the model's input.
    blank: Vec<f32>,
}

/// A photo, and what the model predicts for it.
pub struct Explained {
    pub picture: RgbImage,
    /// The picture as the model takes it, `[C,H,W]`.
    pub input: Array3<f32>,
    pub class: usize,
    /// 0..=1.
    pub probability: f32,
    pub explanation: Explanation,
}

impl<'a> Worker<'a> {
    /// # Errors
    /// The model cannot be prepared for the method.
    pub fn new(
        plan: &'a Plan,
        method: &'static Method,
        request: &Request,
        classifier: &'a mut Classifier,
    ) -> Result<Self> {
        let explainer = Explainer::new(&plan.options, request)?;
        let blank = classifier.input_spec().grey();
        Ok(Self { plan, method, explainer, classifier, blank })
    }

    /// The measures of one photo, the `number`th of the sample.
    ///
    /// # Errors
    /// The photo cannot be read, or the model fails.
    pub fn photo(&mut self, photo: &Photo, number: usize) -> Result<PhotoMeasured> {
        let Explained { picture, input, class, probability, explanation } = self.explained(photo)?;
        let stability = stability(&picture, &explanation, &mut self.explainer)?;
        let [height, width] = [input.dim().1, input.dim().2];
        let channels_last = self.classifier.channels_last();
        let explainer = &mut self.explainer;
        let mut explain = |input: ArrayView3<f32>| -> Result<Array2<f32>> {
            let explanation = explainer.explain_tensor(as_input(input, channels_last).view())?;
            Ok(to_unit(explanation.over_input(height, width)?))
        };
        let classifier = &mut *self.classifier;
        let mut classify = |input: ArrayView3<f32>| Ok(classifier.classify(input)?.probabilities[class]);
        let map = to_unit(explanation.over_input(height, width)?);
        let mut trial = Trial {
            input: input.view(),
            map: map.view(),
            blank: &self.blank,
            score: probability,
            classify: &mut classify,
            explain: &mut explain,
        };
        let curves = insertion_deletion(&mut trial, self.plan.steps)?;
        let change = average_drop(&mut trial)?;
        let adcc = adcc(&mut trial, change.drop)?;
        // Each photo has its own noise, so that a run that is continued gives the same numbers.
        let mut random = SmallRng::seed_from_u64(self.plan.seed.wrapping_add(number as u64));
        let road = road(&mut trial, &SHARES, NOISE, &mut random)?;
        let displacement = displacement(&mut trial)?;
        let case = Case {
            photo: photo.clone(),
            predicted: class,
            probability,
            insertion: area_under(&curves.insertion),
            deletion: area_under(&curves.deletion),
        };
        Ok(PhotoMeasured { method: self.method.name, case, curves, change, adcc, road, stability, displacement })
    }

    /// The energy of the map of each photo's class in its tile of a grid, 0..=1.
    ///
    /// # Errors
    /// A photo cannot be read, or the model fails.
    pub fn grid(&mut self, photos: [&Photo; 4]) -> Result<[f32; 4]> {
        let pictures = photos.iter().map(|photo| photo.read()).collect::<Result<Vec<RgbImage>>>()?;
        let InputSpec { width, height, .. } = *self.classifier.input_spec();
        let picture = PhotoGrid::picture([0, 1, 2, 3].map(|tile| &pictures[tile]), width as u32, height as u32);
        let mut shares = [0.0; 4];
        for (tile, photo) in photos.into_iter().enumerate() {
            self.explainer.set_class(Some(photo.class_index))?;
            let map = self.explainer.explain(&picture)?.over_input(height, width)?;
            shares[tile] = energy_in_tile(map.view(), tile);
        }
        Ok(shares)
    }

    /// Explains the class that the model predicts for a photo.
    ///
    /// # Errors
    /// The photo cannot be read, or the model fails.
    pub fn explained(&mut self, photo: &Photo) -> Result<Explained> {
        let picture = photo.read()?;
        let input = self.classifier.preprocess(&picture)?;
        let scores = self.classifier.classify(input.view())?;
        let class = scores.ranking[0];
        self.explainer.set_class(Some(class))?;
        let explanation = self.explainer.explain(&picture)?;
        Ok(Explained { picture, input, class, probability: scores.probabilities[class], explanation })
    }

    /// Flicker and lag along a film.
    ///
    /// # Errors
    /// The film cannot be read, or the model fails.
    pub fn film(&mut self, film: &Path) -> Result<FilmMotion> {
        let report = Report::silent();
        let mut frames = source::open(&Input::file(film), 0, &report)?;
        let (mut single, mut smoothed) = (Vec::new(), Vec::new());
        let mut smoother = TemporalSmoother::new(TemporalSmoother::SECONDS);
        while let Some(frame) = frames.next_frame()?
            && single.len() < MOST_FILM_FRAMES
        {
            self.explainer.set_class(smoother.class_for(&frame.picture))?;
            let mut explanation = self.explainer.explain(&frame.picture)?;
            single.push(explanation.map.values.clone());
            smoother.smooth(&frame.picture, frame.time.as_us(), &mut explanation);
            smoothed.push(explanation.map.values);
        }
        Ok(FilmMotion {
            film: film.to_owned(),
            frames: single.len(),
            damaged: report.has_damage(),
            single: motion(&single, &single),
            smoothed: motion(&smoothed, &single),
        })
    }
}
