//! The measures of one method's maps.

use std::path::Path;

use image::RgbImage;
use ndarray::{Array2, ArrayView3};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::adcc::adcc;
use super::average_drop::average_drop;
use super::displacement::{Displacement, displacement};
use super::flicker::motion;
use super::grid_pointing::{PhotoGrid, energy_in_tile, grids};
use super::insertion_deletion::{area_under, insertion_deletion};
use super::photos::Photo;
use super::plan::Plan;
use super::progress::{GridMeasured, PhotoMeasured, Progress};
use super::randomisation::{Sanity, randomised};
use super::report::{Case, FilmMotion, Measured};
use super::road::road;
use super::stability::stability;
use super::totals::means;
use super::trial::{Trial, to_unit};
use crate::cam::Method;
use crate::error::Result;
use crate::explain::{Classifier, Explainer, TemporalSmoother};
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
pub struct Bench<'a> {
    plan: &'a Plan,
    method: &'static Method,
    request: Request,
    explainer: Explainer,
    classifier: &'a mut Classifier,
    /// The value of middle grey in each channel of the model's input.
    blank: Vec<f32>,
}

impl<'a> Bench<'a> {
    /// # Errors
    /// The model cannot be prepared for the method.
    pub fn new(plan: &'a Plan, method: &'static Method, classifier: &'a mut Classifier) -> Result<Self> {
        let request = Request { method: Some(method), ..plan.request.clone() };
        let explainer = Explainer::new(&plan.options, &request)?;
        let InputSpec { channels, scale, mean, std, .. } = *classifier.input_spec();
        let blank = (0..channels).map(|channel| (127.5 * scale - mean[channel]) / std[channel]).collect();
        Ok(Self { plan, method, request, explainer, classifier, blank })
    }

    /// All measures: on the photos of `sample`, on grids of the photos in `pointing`, and on the films of the plan.
    ///
    /// # Errors
    /// A photo or film cannot be read, the model fails, or a result cannot be kept.
    pub fn measure(&mut self, sample: &[&Photo], pointing: &[&Photo], progress: &mut Progress) -> Result<Measured> {
        let mut photos = Vec::with_capacity(sample.len());
        for (number, photo) in sample.iter().enumerate() {
            progress.tell(0.6 * number as f32 / sample.len() as f32);
            photos.push(match progress.of_photo(self.method, photo) {
                Some(measured) => measured,
                None => {
                    let measured = self.photo(photo, number)?;
                    progress.keep(&measured)?;
                    measured
                }
            });
        }
        let displaced: Vec<_> = photos.iter().filter_map(|photo| photo.displacement).collect();
        let (mut faithfulness, curves) = means(&photos, self.plan.steps);
        faithfulness.grid_pointing = self.point(pointing, progress)?;
        progress.tell(0.9);
        let mut cases: Vec<Case> = photos.into_iter().map(|photo| photo.case).collect();
        cases.sort_by(|a, b| (b.insertion - b.deletion).total_cmp(&(a.insertion - a.deletion)));
        Ok(Measured {
            method: self.method.name,
            layer: self.explainer.context().layer.clone(),
            shift: self.explainer.context().shift,
            photos: sample.len(),
            faithfulness,
            displacement: Displacement::of(&displaced),
            curves,
            cases,
            sanity: self.sanity(&sample[..self.plan.sanity.min(sample.len())])?,
            films: self.plan.films.iter().map(|film| self.film(film)).collect::<Result<_>>()?,
        })
    }

    /// The measures of one photo, the `number`th of the sample.
    fn photo(&mut self, photo: &Photo, number: usize) -> Result<PhotoMeasured> {
        let picture = photo.read()?;
        let input = self.classifier.preprocess(&picture)?;
        let scores = self.classifier.classify(input.view())?;
        let class = scores.ranking[0];
        self.explainer.set_class(Some(class))?;
        let explanation = self.explainer.explain(&picture)?;
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
            score: scores.probabilities[class],
            classify: &mut classify,
            explain: &mut explain,
        };
        let curves = insertion_deletion(&mut trial, self.plan.steps)?;
        let change = average_drop(&mut trial)?;
        let adcc = adcc(&mut trial, change.drop)?;
        // Each photo has its own noise, so that it is the same where a run is continued.
        let mut random = SmallRng::seed_from_u64(self.plan.seed.wrapping_add(number as u64));
        let road = road(&mut trial, &SHARES, NOISE, &mut random)?;
        let displacement = displacement(&mut trial)?;
        let case = Case {
            photo: photo.clone(),
            predicted: class,
            probability: scores.probabilities[class],
            insertion: area_under(&curves.insertion),
            deletion: area_under(&curves.deletion),
        };
        Ok(PhotoMeasured { method: self.method.name, case, curves, change, adcc, road, stability, displacement })
    }

    /// The mean energy in the right tile, over grids of these photos.
    fn point(&mut self, photos: &[&Photo], progress: &mut Progress) -> Result<Option<f32>> {
        let classes: Vec<usize> = photos.iter().map(|photo| photo.class_index).collect();
        let grids = grids(&classes, self.plan.grids, &mut SmallRng::seed_from_u64(self.plan.seed));
        let mut sum = 0.0;
        for (number, grid) in grids.iter().enumerate() {
            progress.tell(0.6 + 0.3 * number as f32 / grids.len() as f32);
            let paths = grid.photos.map(|index| photos[index].path.clone());
            let measured = match progress.of_grid(self.method, &paths) {
                Some(measured) => measured,
                None => {
                    let shares = self.grid(grid.photos.map(|index| photos[index]))?;
                    let measured = GridMeasured { method: self.method.name, photos: paths, shares };
                    progress.keep(&measured)?;
                    measured
                }
            };
            sum += measured.shares.iter().sum::<f32>();
        }
        Ok((!grids.is_empty()).then(|| sum / (4 * grids.len()) as f32))
    }

    /// The energy of the map of each photo's class in its tile of a grid, 0..=1.
    fn grid(&mut self, photos: [&Photo; 4]) -> Result<[f32; 4]> {
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

    /// The sanity check on these photos. It is skipped for methods that rerun the model for every score, where it would
    /// take minutes.
    fn sanity(&mut self, photos: &[&Photo]) -> Result<Option<Sanity>> {
        if photos.is_empty() || self.method.reruns_for_scores() {
            return Ok(None);
        }
        let mut known = Vec::with_capacity(photos.len());
        for photo in photos {
            let picture = photo.read()?;
            let input = self.classifier.preprocess(&picture)?;
            let class = self.classifier.classify(input.view())?.ranking[0];
            self.explainer.set_class(Some(class))?;
            let map = self.explainer.explain(&picture)?.map.values;
            known.push((picture, class, map));
        }
        let pictures: Vec<_> = known.iter().map(|(picture, class, map)| (picture, *class, map)).collect();
        Ok(Some(randomised(&self.plan.options, &self.request, &pictures, self.plan.seed)?))
    }

    /// Flicker and lag along a film.
    fn film(&mut self, film: &Path) -> Result<FilmMotion> {
        let mut frames = source::open(&Input::file(film), 0, &Report::silent())?;
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
            single: motion(&single, &single),
            smoothed: motion(&smoothed, &single),
        })
    }
}
