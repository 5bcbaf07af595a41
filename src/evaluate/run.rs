//! The evaluation of a model on a folder of photos and on films.

use std::cmp::Ordering;
use std::iter;
use std::path::Path;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::index;

use super::calibration::{calibration_error, reliability};
use super::confusion::Confusion;
use super::measure::Bench;
use super::parallel::parallel_map;
use super::photos::{Photo, labelled_photos};
use super::plan::Plan;
use super::progress::Progress;
use super::report::{Evaluation, Measured};
use crate::error::{Error, Result};
use crate::explain::Classifier;

/// The number of bins of the calibration error, as in the paper.
const BINS: usize = 15;

/// Photos and their predictions.
struct Classified {
    photos: Vec<Photo>,
    /// The predicted class of each photo and its probability, 0..=1.
    predictions: Vec<(usize, f32)>,
    /// Photos that could not be read.
    unread: Vec<Error>,
}

/// Classifies all photos in a folder of class folders, and measures the maps of each method that is not done. `classifier` is
/// the first worker's model.
///
/// # Errors
/// The folder has no photos of the model's classes, none of them can be read, the model cannot be read again for another
/// worker or fails, or a result cannot be kept.
pub fn evaluate(folder: &Path, plan: &Plan, classifier: Classifier, mut progress: Progress) -> Result<Evaluation> {
    let (classes, name) = (classifier.classes, classifier.name.clone());
    let listed = labelled_photos(folder, &classifier.labels, classes)?;
    let labels = (0..classes).map(|class| classifier.label(class)).collect();
    let others = (1..plan.workers).map(|_| Classifier::new(&plan.options));
    let mut classifiers = iter::once(Ok(classifier)).chain(others).collect::<Result<Vec<_>>>()?;
    let classified = Classified::new(listed, &mut classifiers)?;
    let photos = &classified.photos;
    let mut random = SmallRng::seed_from_u64(plan.seed);
    let mut sample = index::sample(&mut random, photos.len(), plan.sample.min(photos.len())).into_vec();
    sample.sort_unstable();
    let chosen: Vec<&Photo> = sample.iter().map(|&index| &photos[index]).collect();
    let pointing = classified.confidently_right();
    let mut methods = Vec::with_capacity(plan.methods.len());
    for (number, method) in plan.methods.iter().enumerate() {
        if let Some(measured) = progress.begin(method, number, plan.methods.len()) {
            methods.push(measured);
            continue;
        }
        let mut bench = Bench::new(plan, method, &mut classifiers)?;
        let measured = bench.measure(&chosen, &pointing, &mut progress)?;
        progress.keep(&measured)?;
        methods.push(measured);
    }
    let damaged = damaged_films(&methods);
    let outcomes: Vec<_> = classified.pairs().map(|pair| (pair.1.1, is_right(&pair))).collect();
    let reliability = reliability(&outcomes, BINS);
    let pairs = classified.pairs().map(|(photo, (predicted, _))| (photo.class_index, *predicted));
    Ok(Evaluation {
        model: name,
        labels,
        photos: photos.len(),
        confusion: Confusion::new(classes, pairs),
        calibration_error: calibration_error(&reliability),
        reliability,
        methods,
        unread: classified.unread.into_iter().chain(damaged).collect(),
    })
}

/// An error for each film that could be read in parts only.
fn damaged_films(methods: &[Measured]) -> Vec<Error> {
    let films = methods.first().map_or(&[][..], |measured| &measured.films);
    let problem = "it is damaged; flicker and lag are those of the frames that could be read";
    films.iter().filter(|film| film.damaged).map(|film| Error::input(&film.film, problem)).collect()
}

impl Classified {
    /// Classifies the photos that can be read.
    fn new(listed: Vec<Photo>, classifiers: &mut [Classifier]) -> Result<Self> {
        let (mut photos, mut predictions, mut unread) = (Vec::with_capacity(listed.len()), Vec::new(), Vec::new());
        let classify = |classifier: &mut Classifier, photo: &Photo| {
            let picture = match photo.read() {
                Ok(picture) => picture,
                Err(error) => return Ok(Err(error)),
            };
            let input = classifier.preprocess(&picture)?;
            let scores = classifier.classify(input.view())?;
            let best = scores.ranking[0];
            Ok(Ok((best, scores.probabilities[best])))
        };
        let results = parallel_map(classifiers, &listed, classify, |_| Ok(()))?;
        for (photo, result) in listed.into_iter().zip(results) {
            match result {
                Ok(prediction) => {
                    photos.push(photo);
                    predictions.push(prediction);
                }
                Err(error) => unread.push(error),
            }
        }
        if photos.is_empty() {
            return Err(unread.swap_remove(0));
        }
        Ok(Self { photos, predictions, unread })
    }

    fn pairs(&self) -> impl Iterator<Item = (&Photo, &(usize, f32))> {
        self.photos.iter().zip(&self.predictions)
    }

    /// The photos that are classified rightly and most confidently, half of each class, as in the paper of the grid
    /// pointing game.
    fn confidently_right(&self) -> Vec<&Photo> {
        let mut right: Vec<_> = self.pairs().filter(is_right).collect();
        right
            .sort_by(|a, b| (a.0.class_index, b.1.1).partial_cmp(&(b.0.class_index, a.1.1)).unwrap_or(Ordering::Equal));
        let by_class = right.chunk_by(|a, b| a.0.class_index == b.0.class_index);
        by_class.flat_map(|class| class[..class.len().div_ceil(2)].iter().map(|(photo, _)| *photo)).collect()
    }
}

fn is_right((photo, (predicted, _)): &(&Photo, &(usize, f32))) -> bool {
    photo.class_index == *predicted
}
