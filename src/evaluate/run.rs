//! All measures on a folder of photos and on films.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use image::RgbImage;
use ndarray::{Array2, ArrayView3};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::index;

use super::{
    Adcc, Bin, Change, Confusion, Curves, Grid, Motion, Photo, Road, Sanity, Trial, adcc, area_under, average_drop,
    calibration_error, energy_in_tile, grids, insertion_deletion, labelled_photos, motion, randomised, reliability,
    road, to_unit,
};
use crate::cam::{How, Method};
use crate::classifier::Classifier;
use crate::error::{Error, Result};
use crate::explainer::Explainer;
use crate::manifest::InputSpec;
use crate::options::ExplainerOptions;
use crate::preprocess::as_input;
use crate::source;
use crate::steady::Steady;

/// What is evaluated, and how thoroughly.
pub struct Plan {
    /// The model, its layer and so on; the method comes from `methods`.
    pub options: ExplainerOptions,
    pub methods: Vec<&'static Method>,
    /// How many of the photos the maps are measured on; all of them are classified.
    pub sample: usize,
    /// Grids of four photos.
    pub grids: usize,
    /// Photos whose maps are compared with those of a model with other weights.
    pub sanity: usize,
    /// Steps of insertion and deletion.
    pub steps: usize,
    pub seed: u64,
    /// Films on which flicker and lag are measured.
    pub films: Vec<PathBuf>,
}

/// What came out.
pub struct Evaluation {
    pub model: String,
    pub labels: Vec<String>,
    pub photos: usize,
    pub confusion: Confusion,
    pub reliability: Vec<Bin>,
    pub calibration_error: f32,
    pub methods: Vec<Measured>,
    /// Photos that could not be read, and were left out.
    pub unread: Vec<Error>,
}

/// One method's maps.
pub struct Measured {
    pub method: &'static str,
    pub layer: String,
    pub photos: usize,
    pub faithfulness: Faithfulness,
    /// Means over the photos.
    pub curves: Curves,
    /// By how much insertion exceeds deletion, best first.
    pub cases: Vec<Case>,
    /// `None` for a method that would take minutes, or where no photos were sampled.
    pub sanity: Option<Sanity>,
    pub films: Vec<FilmMotion>,
}

/// Means over the photos.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faithfulness {
    pub insertion: f32,
    pub deletion: f32,
    pub average_drop: f32,
    /// The share of photos.
    pub increase: f32,
    pub adcc: f32,
    pub road: f32,
    /// Energy in the right tile; `None` where the photos are of fewer than four classes.
    pub grid_pointing: Option<f32>,
}

/// One photo.
pub struct Case {
    pub photo: Photo,
    pub predicted: usize,
    pub probability: f32,
    pub insertion: f32,
    pub deletion: f32,
}

/// How maps move along a film: those of single frames, and smoothed.
pub struct FilmMotion {
    pub film: PathBuf,
    pub frames: usize,
    pub single: Motion,
    pub steady: Motion,
}

/// Bins of the calibration error, as in the paper.
const BINS: usize = 15;
/// The shares of pixels that ROAD removes.
const SHARES: [f32; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
/// The deviation of the noise that ROAD adds, as in pytorch-grad-cam.
const NOISE: f32 = 0.01;
/// As much of a film as its motion is measured on.
const MOST_FILM_FRAMES: usize = 300;

/// Classifies all photos of a folder of class folders, and measures the maps of each method. `report` gets how
/// much is done, 0..=1.
///
/// # Errors
/// The folder holds no photos of the model's classes, none of them can be read, or the model fails.
pub fn evaluate(folder: &Path, plan: &Plan, mut report: impl FnMut(f32)) -> Result<Evaluation> {
    let mut classifier = Classifier::new(&plan.options)?;
    let listed = labelled_photos(folder, &classifier.labels, classifier.classes)?;
    let (mut photos, mut predictions, mut unread) = (Vec::with_capacity(listed.len()), Vec::new(), Vec::new());
    for photo in listed {
        let picture = match photo.read() {
            Ok(picture) => picture,
            Err(error) => {
                unread.push(error);
                continue;
            }
        };
        let input = classifier.preprocess(&picture)?;
        let scores = classifier.classify(input.view())?;
        let best = scores.ranking[0];
        photos.push(photo);
        predictions.push((best, scores.probabilities[best]));
    }
    if photos.is_empty() {
        return Err(unread.swap_remove(0));
    }
    let right = |(photo, (predicted, _)): &(&Photo, &(usize, f32))| photo.class_index == *predicted;
    let pairs = || photos.iter().zip(&predictions);
    let bins = reliability(&pairs().map(|pair| (pair.1.1, right(&pair))).collect::<Vec<_>>(), BINS);
    let mut random = SmallRng::seed_from_u64(plan.seed);
    let mut sample = index::sample(&mut random, photos.len(), plan.sample.min(photos.len())).into_vec();
    sample.sort_unstable();
    // Those that are right and most confident, as in the grid pointing game's paper: half of each class.
    let mut rightly: Vec<_> = pairs().filter(right).collect();
    rightly.sort_by(|a, b| (a.0.class_index, b.1.1).partial_cmp(&(b.0.class_index, a.1.1)).unwrap_or(Ordering::Equal));
    let of_classes = rightly.chunk_by(|a, b| a.0.class_index == b.0.class_index);
    let rightly: Vec<&Photo> =
        of_classes.flat_map(|class| class[..class.len().div_ceil(2)].iter().map(|(photo, _)| *photo)).collect();
    let mut measured = Vec::with_capacity(plan.methods.len());
    for (number, method) in plan.methods.iter().enumerate() {
        let mut part = |share: f32| report((number as f32 + share) / plan.methods.len() as f32);
        let mut bench = Bench::new(plan, method, &mut classifier)?;
        measured.push(bench.measure(&photos, &sample, &rightly, &mut part)?);
    }
    let labels = (0..classifier.classes).map(|class| classifier.label(class)).collect();
    Ok(Evaluation {
        model: classifier.name.clone(),
        labels,
        photos: photos.len(),
        confusion: Confusion::new(
            classifier.classes,
            pairs().map(|(photo, (predicted, _))| (photo.class_index, *predicted)),
        ),
        calibration_error: calibration_error(&bins),
        reliability: bins,
        methods: measured,
        unread,
    })
}

/// One method and the plain model beside it.
struct Bench<'a> {
    plan: &'a Plan,
    method: &'static Method,
    options: ExplainerOptions,
    explainer: Explainer,
    classifier: &'a mut Classifier,
    /// The level of middle grey in each channel of the model's input.
    blank: Vec<f32>,
    random: SmallRng,
}

impl<'a> Bench<'a> {
    fn new(plan: &'a Plan, method: &'static Method, classifier: &'a mut Classifier) -> Result<Self> {
        let options = ExplainerOptions { method: Some(method.name.into()), ..plan.options.clone() };
        let explainer = Explainer::new(&options)?;
        let InputSpec { channels, scale, mean, std, .. } = *classifier.input_spec();
        let blank = (0..channels).map(|channel| (127.5 * scale - mean[channel]) / std[channel]).collect();
        Ok(Self { plan, method, options, explainer, classifier, blank, random: SmallRng::seed_from_u64(plan.seed) })
    }

    fn measure(
        &mut self,
        photos: &[Photo],
        sample: &[usize],
        rightly: &[&Photo],
        report: &mut dyn FnMut(f32),
    ) -> Result<Measured> {
        let mut cases = Vec::with_capacity(sample.len());
        let mut totals = Totals::new(self.plan.steps);
        for (done, photo) in sample.iter().map(|&at| &photos[at]).enumerate() {
            report(0.8 * done as f32 / sample.len() as f32);
            cases.push(self.case(photo, &mut totals)?);
        }
        cases.sort_by(|a, b| (b.insertion - b.deletion).total_cmp(&(a.insertion - a.deletion)));
        let (mut faithfulness, curves) = totals.means(sample.len());
        faithfulness.grid_pointing = self.point(rightly)?;
        report(0.9);
        let chosen: Vec<&Photo> = sample.iter().take(self.plan.sanity).map(|&at| &photos[at]).collect();
        Ok(Measured {
            method: self.method.name,
            layer: self.explainer.facts().layer.clone(),
            photos: sample.len(),
            faithfulness,
            curves,
            cases,
            sanity: self.sanity(&chosen)?,
            films: self.plan.films.iter().map(|film| self.film(film)).collect::<Result<_>>()?,
        })
    }

    fn case(&mut self, photo: &Photo, totals: &mut Totals) -> Result<Case> {
        let input = self.classifier.preprocess(&photo.read()?)?;
        let scores = self.classifier.classify(input.view())?;
        let class = scores.ranking[0];
        self.explainer.set_class(Some(class))?;
        let [height, width] = [input.dim().1, input.dim().2];
        let channels_last = self.classifier.channels_last();
        let explainer = &mut self.explainer;
        let mut explain = |input: ArrayView3<f32>| -> Result<Array2<f32>> {
            let explanation = explainer.explain_tensor(as_input(input, channels_last).view())?;
            Ok(to_unit(explanation.over_input(height, width)?))
        };
        let classifier = &mut *self.classifier;
        let mut classify = |input: ArrayView3<f32>| Ok(classifier.classify(input)?.probabilities[class]);
        let map = explain(input.view())?;
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
        let road = road(&mut trial, &SHARES, NOISE, &mut self.random)?;
        totals.add(&curves, change, adcc, road);
        Ok(Case {
            photo: photo.clone(),
            predicted: class,
            probability: scores.probabilities[class],
            insertion: area_under(&curves.insertion),
            deletion: area_under(&curves.deletion),
        })
    }

    /// The mean energy in the right tile over grids of these photos.
    fn point(&mut self, photos: &[&Photo]) -> Result<Option<f32>> {
        let classes: Vec<usize> = photos.iter().map(|photo| photo.class_index).collect();
        let grids = grids(&classes, self.plan.grids, &mut self.random);
        let spec = self.classifier.input_spec();
        let (width, height) = (spec.width as u32, spec.height as u32);
        let mut shares = Vec::with_capacity(4 * grids.len());
        for grid in &grids {
            let pictures = grid.photos.iter().map(|&at| photos[at].read()).collect::<Result<Vec<RgbImage>>>()?;
            let picture = Grid::picture([0, 1, 2, 3].map(|tile| &pictures[tile]), width, height);
            for (tile, &at) in grid.photos.iter().enumerate() {
                self.explainer.set_class(Some(classes[at]))?;
                let map = self.explainer.explain(&picture)?.over_input(height as usize, width as usize)?;
                shares.push(energy_in_tile(map.view(), tile));
            }
        }
        Ok((!shares.is_empty()).then(|| shares.iter().sum::<f32>() / shares.len() as f32))
    }

    fn sanity(&mut self, photos: &[&Photo]) -> Result<Option<Sanity>> {
        // Without gradients these need minutes for what the others say as well.
        if photos.is_empty() || matches!(self.method.how, How::Masks(_)) {
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
        Ok(Some(randomised(&self.options, &pictures, self.plan.seed)?))
    }

    fn film(&mut self, film: &Path) -> Result<FilmMotion> {
        let mut frames = source::open(&film.display().to_string(), 0)?;
        let (mut single, mut shown) = (Vec::new(), Vec::new());
        let mut steady = Steady::new(Steady::SECONDS);
        while let Some(frame) = frames.next_frame()?
            && single.len() < MOST_FILM_FRAMES
        {
            self.explainer.set_class(steady.class_for(&frame.picture))?;
            let mut explanation = self.explainer.explain(&frame.picture)?;
            single.push(explanation.map.values.clone());
            steady.smooth(&frame.picture, frame.time.as_us(), &mut explanation);
            shown.push(explanation.map.values);
        }
        Ok(FilmMotion {
            film: film.to_owned(),
            frames: single.len(),
            single: motion(&single, &single),
            steady: motion(&shown, &single),
        })
    }
}

/// Sums over the photos.
struct Totals {
    sums: Faithfulness,
    curves: Curves,
    drop: Adcc,
}

impl Totals {
    fn new(steps: usize) -> Self {
        Self {
            sums: Faithfulness::default(),
            curves: Curves { insertion: vec![0.0; steps + 1], deletion: vec![0.0; steps + 1] },
            drop: Adcc { coherency: 0.0, complexity: 0.0, drop: 0.0 },
        }
    }

    fn add(&mut self, curves: &Curves, change: Change, adcc: Adcc, road: Road) {
        let sums = [(&mut self.curves.insertion, &curves.insertion), (&mut self.curves.deletion, &curves.deletion)];
        for (sum, curve) in sums {
            sum.iter_mut().zip(curve).for_each(|(sum, v)| *sum += v);
        }
        self.sums.increase += f32::from(change.increased);
        self.sums.road += road.combined();
        self.drop.coherency += adcc.coherency;
        self.drop.complexity += adcc.complexity;
        self.drop.drop += adcc.drop;
    }

    fn means(self, count: usize) -> (Faithfulness, Curves) {
        let count = count.max(1) as f32;
        let mean = |curve: Vec<f32>| curve.into_iter().map(|sum| sum / count).collect::<Vec<_>>();
        let curves = Curves { insertion: mean(self.curves.insertion), deletion: mean(self.curves.deletion) };
        let Adcc { coherency, complexity, drop } = self.drop;
        let adcc = Adcc { coherency: coherency / count, complexity: complexity / count, drop: drop / count };
        let faithfulness = Faithfulness {
            insertion: area_under(&curves.insertion),
            deletion: area_under(&curves.deletion),
            average_drop: adcc.drop,
            increase: self.sums.increase / count,
            // Of the means, as the paper defines it.
            adcc: adcc.value(),
            road: self.sums.road / count,
            grid_pointing: None,
        };
        (faithfulness, curves)
    }
}
